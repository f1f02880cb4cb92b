//go:build cgo

package pkcs11

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"github.com/vouchmill/vouchmill/sign"
)

// unsupported is why no key can be opened: nothing, with cgo.
var unsupported error

// token is a login through crypto11, which pools the sessions.
type token struct {
	context *crypto11.Context
	key     crypto11.Signer
}

// connect logs in and finds the key.
func connect(u *URI, pin []byte, sessions int) (connection, error) {
	t, err := login(u, pin, sessions)
	if err != nil {
		return nil, err
	}
	keys, err := t.find(u.ID, u.Object)
	switch {
	case err == nil && len(keys) == 0:
		err = ErrNoKey
	case err == nil && len(keys) > 1:
		err = ErrManyKeys
	}
	if err != nil {
		t.context.Close()
		return nil, err
	}
	t.key = keys[0]
	return t, nil
}

// login opens the library and a pool of sessions; crypto11 needs one session
// more, to stay logged in.
//
// crypto11 panics over tokens that allow a single session.
func login(u *URI, pin []byte, sessions int) (t *token, err error) {
	defer func() {
		if recover() != nil {
			t, err = nil, &Error{Op: "connecting", Code: 0xb1, Err: errFewSessions}
		}
	}()
	if _, err := os.Stat(u.ModulePath); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	config := &crypto11.Config{Path: u.ModulePath, TokenLabel: u.Token, TokenSerial: u.Serial, Pin: string(pin), MaxSessions: sessions + 1}
	if u.Slot != nil {
		slot := int(*u.Slot)
		config.SlotNumber = &slot
	}
	context, err := crypto11.Configure(config)
	if err != nil {
		return nil, explainLogin(err)
	}
	return &token{context: context}, nil
}

// errFewSessions: one session stays logged in, another signs.
var errFewSessions = errors.New("the token must allow two sessions at least")

// explainLogin sorts what crypto11 reports; two of its errors have no type.
func explainLogin(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "could not find PKCS#11 token"):
		return fmt.Errorf("%w (%w)", ErrNoToken, err)
	case strings.Contains(text, "failed to open module"):
		return fmt.Errorf("%w (%w)", ErrModule, err)
	}
	return explain("connecting", err)
}

// explain finds the return value in an error.
func explain(op string, err error) error {
	var value pkcs11.Error
	if errors.As(err, &value) {
		return &Error{Op: op, Code: uint(value), Err: err}
	}
	return fmt.Errorf("pkcs11: %s: %w", op, err)
}

// find lists the key pairs that have the id and the label, where given.
func (t *token) find(id []byte, label string) ([]crypto11.Signer, error) {
	var labelOctets []byte
	if label != "" {
		labelOctets = []byte(label)
	}
	keys, err := t.context.FindKeyPairs(id, labelOctets)
	if err != nil {
		return nil, explain("looking for the key", err)
	}
	return keys, nil
}

func (t *token) Public() crypto.PublicKey { return t.key.Public() }
func (t *token) Close() error             { return t.context.Close() }

func (t *token) Sign(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := t.key.Sign(nil, digest, opts)
	if err != nil {
		return nil, explain("signing", err)
	}
	return sig, nil
}

// Generate makes an ECDSA key pair on the token, which never leaves it, and
// opens it. The URI must give its label, object; without an id a random one of
// 16 octets is taken. The errors are those of [Open], [ErrExists], and a
// [*sign.AlgorithmError] for algorithms other than ES256, ES384 and ES512.
func Generate(uri string, alg *sign.Algorithm, opts Options) (*Key, error) {
	u, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	if u.Object == "" {
		return nil, &URIError{"object", "it is missing; a new key needs a label"}
	}
	curve, ok := curves[alg]
	if !ok {
		return nil, &sign.AlgorithmError{Identifier: fmt.Sprint(alg), Reason: "tokens make keys for ES256, ES384 and ES512 here"}
	}
	pin, _, err := u.readPIN()
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	if err := generate(u, pin, curve); err != nil {
		return nil, err
	}
	return open(u, opts, connect)
}

// curves are what keys are made on.
var curves = map[*sign.Algorithm]elliptic.Curve{sign.ES256: elliptic.P256(), sign.ES384: elliptic.P384(), sign.ES512: elliptic.P521()}

func generate(u *URI, pin []byte, curve elliptic.Curve) error {
	t, err := login(u, pin, 1)
	if err != nil {
		return err
	}
	defer t.context.Close()
	for _, name := range []URI{{Object: u.Object}, {ID: u.ID}} {
		if name.Object == "" && name.ID == nil {
			continue
		}
		keys, err := t.find(name.ID, name.Object)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return ErrExists
		}
	}
	if u.ID == nil {
		u.ID = make([]byte, 16)
		rand.Read(u.ID) // crypto/rand.Read never fails
	}
	if _, err := t.context.GenerateECDSAKeyPairWithLabel(u.ID, []byte(u.Object), curve); err != nil {
		return explain("making the key", err)
	}
	return nil
}
