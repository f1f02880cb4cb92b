package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Hash is that of a node of the tree: SHA-256 as RFC 9162 §2.1.1 has it.
type Hash = tlog.Hash

const (
	// MaxSize bounds the size of a log: more than a million events a second for
	// eight years.
	MaxSize = 1 << 48
	// MaxHead bounds a signed head, in octets.
	MaxHead = 4 << 10
)

// A Head is a state of the log: how many events it has, and the root of the
// tree over them. Two heads of one size with different roots, both signed, prove
// that the log was forked.
type Head struct {
	Size uint64
	Root Hash
}

// GenerateKey makes the key that signs the heads of a log. The origin names the
// log in each head, as a host and a path do ("masa.example.com/audit"); it holds
// neither blanks nor plus signs. signer is secret: keep it in a file with mode
// 0600. verifier is what registrars are given.
func GenerateKey(rand io.Reader, origin string) (signer, verifier string, err error) {
	if err := checkOrigin(origin); err != nil {
		return "", "", err
	}
	return note.GenerateKey(rand, origin)
}

func checkOrigin(origin string) error {
	if origin == "" || len(origin) > 255 || strings.ContainsFunc(origin, func(r rune) bool {
		return r <= ' ' || r == '+' || r > '~'
	}) {
		return fmt.Errorf("audit: %q cannot name a log: want 1 to 255 printable ASCII characters without blank and plus sign", origin)
	}
	return nil
}

// A Signer signs heads. It is safe for concurrent use.
type Signer struct {
	signer   note.Signer
	verifier string
}

// NewSigner reads the signer key that [GenerateKey] made. No error text holds
// any of it.
func NewSigner(key string) (*Signer, error) {
	s, err := note.NewSigner(strings.TrimSpace(key))
	if err != nil {
		return nil, errors.New("audit: the key that signs the log is not one that was made for it (PRIVATE+KEY+ORIGIN+…)")
	}
	if err := checkOrigin(s.Name()); err != nil {
		return nil, err
	}
	verifier, err := verifierKey(strings.TrimSpace(key))
	if err != nil {
		return nil, err
	}
	return &Signer{s, verifier}, nil
}

// VerifierKey returns the key to be given to registrars.
func (s *Signer) VerifierKey() string { return s.verifier }

// Origin returns the name of the log.
func (s *Signer) Origin() string { return s.signer.Name() }

// SignHead returns a head as a signed note in the form of C2SP's
// tlog-checkpoint: the origin, the size, the root in base64, a line each; an
// empty line; and a line with the Ed25519 signature. The head must be durable: a
// signed head that a crash takes back is a fork.
func (s *Signer) SignHead(h Head) ([]byte, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", s.Origin(), h.Size, h.Root)
	return note.Sign(&note.Note{Text: text}, s.signer)
}

// A Verifier knows the keys of one log, more than one after its key was
// changed. It is safe for concurrent use.
type Verifier struct {
	origin string
	known  note.Verifiers
}

// NewVerifier reads verifier keys, all of one log. One that is given twice counts
// once.
func NewVerifier(keys ...string) (*Verifier, error) {
	var all []note.Verifier
	seen := map[string]bool{}
	for _, key := range keys {
		key = strings.TrimSpace(key)
		if seen[key] {
			continue // package note would call it ambiguous
		}
		seen[key] = true
		v, err := note.NewVerifier(key)
		if err != nil {
			// Not shown: it may be the signer's, which is secret.
			return nil, errors.New("audit: what is given is not the verifier key of a log (ORIGIN+HASH+KEY)")
		}
		if len(all) > 0 && v.Name() != all[0].Name() {
			return nil, fmt.Errorf("audit: the keys are of two logs, %s and %s", all[0].Name(), v.Name())
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return nil, errors.New("audit: no key of the log is given")
	}
	return &Verifier{all[0].Name(), note.VerifierList(all...)}, nil
}

// Origin returns the name of the log.
func (v *Verifier) Origin() string { return v.origin }

// VerifyHead checks the signature of a head and returns what it says. Errors
// are *[ProofError].
func (v *Verifier) VerifyHead(signed []byte) (Head, error) {
	if len(signed) > MaxHead {
		return Head{}, &ProofError{"head", fmt.Errorf("it has %d octets, the limit is %d", len(signed), MaxHead)}
	}
	n, err := note.Open(signed, v.known)
	if err != nil {
		return Head{}, &ProofError{"head", fmt.Errorf("it is not signed by log %s: %w", v.origin, err)}
	}
	h, err := parseHead(n.Text, v.origin)
	if err != nil {
		return Head{}, &ProofError{"head", err}
	}
	return h, nil
}

// parseHead reads the text of a head. Lines after the third are the log's to
// define and not ours to read.
func parseHead(text, origin string) (Head, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 {
		return Head{}, errors.New("it has fewer than three lines")
	}
	if lines[0] != origin {
		return Head{}, fmt.Errorf("it is of log %q, not of %s", lines[0], origin)
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || size > MaxSize || strconv.FormatUint(size, 10) != lines[1] {
		return Head{}, fmt.Errorf("%q is no size of a log", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Head{}, fmt.Errorf("%q is no root of a log", lines[2])
	}
	return Head{size, Hash(root)}, nil
}

// verifierKey derives the verifier key from a signer key that is sound:
// PRIVATE+KEY+ORIGIN+HASH+base64(algorithm ‖ seed).
func verifierKey(signer string) (string, error) {
	parts := strings.SplitN(signer, "+", 5)
	if len(parts) == 5 {
		if data, err := base64.StdEncoding.DecodeString(parts[4]); err == nil && len(data) == 1+ed25519.SeedSize {
			public := ed25519.NewKeyFromSeed(data[1:]).Public().(ed25519.PublicKey)
			return note.NewEd25519VerifierKey(parts[2], public)
		}
	}
	return "", errors.New("audit: the key that signs the log cannot be read")
}
