//go:build !cgo

package pkcs11

import (
	"errors"
	"testing"
)

func TestWithoutCgoTheErrorSaysSo(t *testing.T) {
	const name = "pkcs11:token=t;object=o?module-path=/lib.so"
	if _, err := Open(name, Options{}); !errors.Is(err, ErrNoCgo) {
		t.Errorf("%v", err)
	}
	if _, err := Generate(name, nil, Options{}); !errors.Is(err, ErrNoCgo) {
		t.Errorf("%v", err)
	}
	var uri *URIError
	if _, err := Open("pkcs11:", Options{}); !errors.As(err, &uri) {
		t.Errorf("%v", err)
	}
}
