//go:build !cgo

package pkcs11

import "github.com/vouchmill/vouchmill/sign"

// unsupported is why no key can be opened.
var unsupported error = ErrNoCgo

// connect cannot load a library without cgo.
func connect(*URI, []byte, int) (connection, error) { return nil, ErrNoCgo }

// Generate makes a key pair on the token; without cgo it is [ErrNoCgo].
func Generate(uri string, _ *sign.Algorithm, _ Options) (*Key, error) {
	if _, err := ParseURI(uri); err != nil {
		return nil, err
	}
	return nil, ErrNoCgo
}
