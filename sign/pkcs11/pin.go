package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vouchmill/vouchmill/sign"
)

// PINEnv is the environment variable that holds the PIN where the URI names no
// pin-source.
const PINEnv = "VOUCHMILL_PKCS11_PIN"

// ErrPIN is returned when there is no PIN to log in with.
var ErrPIN = errors.New("pkcs11: no PIN: name a file by pin-source in the key URI, or set " + PINEnv)

// maxPIN bounds a PIN file, in octets.
const maxPIN = 1024

// readPIN gets the PIN anew for every connection, so that none is kept. lax is
// not nil when others can read its file.
func (u *URI) readPIN() (pin []byte, lax *sign.LaxPermissions, err error) {
	if u.PINSource == "" {
		pin = []byte(os.Getenv(PINEnv))
		if len(pin) == 0 {
			return nil, nil, ErrPIN
		}
		return pin, nil, nil
	}
	f, err := os.Open(u.PINSource)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (%w)", ErrPIN, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("%w (%w)", ErrPIN, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPIN+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%w (%w)", ErrPIN, err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		lax = &sign.LaxPermissions{Path: u.PINSource, Mode: info.Mode()}
	}
	pin = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(pin) == 0 || len(text) > maxPIN || bytes.ContainsAny(pin, "\r\n\x00") {
		clear(text)
		return nil, lax, fmt.Errorf("%w (the file %s must hold the PIN on one line)", ErrPIN, u.PINSource)
	}
	return pin, lax, nil
}
