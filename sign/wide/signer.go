package wide

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"io"
	"sync"
	"sync/atomic"

	"github.com/vouchmill/vouchmill/sign/sha256x16"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Sizes in octets.
const (
	DigestSize    = 32
	SignatureSize = 64
)

// A Proof says in which batches a [Signer] proves its signatures before they
// leave. A proof covers every signature of a batch: the equation of s, that r is
// the point's x, and, in each lane, one fresh multiplication of the generator
// that must give the weighted sum of all points. It finds any fault in one
// signature of a lane, and several unless they cancel with the weights, which
// are fixed: it is made against faults, not against someone who chooses them.
// It does not involve the public key. A batch whose proof fails is signed again
// by crypto/ecdsa, and so are all batches after it.
//
// It costs about 45 ns a signature and 8 µs for every 256 or less; verifying
// takes more than ten times as long.
type Proof uint32

const (
	// ProveLarge proves batches of 128 and more, which it makes an eighth slower.
	ProveLarge Proof = iota
	// ProveAll proves every batch.
	ProveAll
	// ProveNone proves none.
	ProveNone
)

// proofLeast is the least batch that [ProveLarge] proves.
const proofLeast = 128

// covers reports whether a batch of n is to be proved.
func (p Proof) covers(n int) bool { return p == ProveAll || p == ProveLarge && n >= proofLeast }

// A Signer signs digests with one private key. It proves its signatures as
// [Proof] says; to verify them is its caller's decision. It is safe for
// concurrent use.
type Signer struct {
	mu     sync.RWMutex // held for reading while signing, for writing by Close
	d      [32]byte     // private key, big-endian
	key    *ecdsa.PrivateKey
	nonces *sha256x16.Nonces
	wide   *wideKey // nil where the wide code does not run
	proof  atomic.Uint32
}

// NewSigner takes a private key as 32 octets, big-endian, in [1, n-1]; a
// [*KeyError] says what else it is.
func NewSigner(d []byte) (*Signer, error) { return newSigner(d, Available()) }

// NewScalarSigner is a signer that never uses the wide code, for comparison.
func NewScalarSigner(d []byte) (*Signer, error) { return newSigner(d, false) }

func newSigner(d []byte, wide bool) (*Signer, error) {
	if len(d) != 32 {
		return nil, &KeyError{"a private key has 32 octets"}
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		return nil, &KeyError{"the private key is not in [1, n-1]"}
	}
	s := &Signer{d: [32]byte(d), key: key}
	s.nonces = sha256x16.NewNonces(&s.d)
	if wide {
		s.wide = newWideKey(&s.d)
	}
	return s, nil
}

// Public is the public key.
func (s *Signer) Public() *ecdsa.PublicKey { return &s.key.PublicKey }

// SetProof chooses which batches are proved from now on; at first it is
// [ProveLarge]. Signatures by crypto/ecdsa are not proved.
func (s *Signer) SetProof(p Proof) { s.proof.Store(uint32(p)) }

// SignDigests writes the signature r‖s of digests[i], 32 octets each, to
// sigs[64i:64i+64], with the nonces of RFC 6979: the same digest always has the
// same signature. sigs has 64 octets a digest. An error is a [*ShapeError] or
// [ErrClosed]; then nothing was signed.
func (s *Signer) SignDigests(sigs []byte, digests [][]byte) error {
	return s.sign(sigs, digests, nil)
}

// SignDigestsHedged does the same with nonces from a generator keyed by the
// private key, all digests of the batch and 32 octets of random, so that neither
// a broken source of randomness nor a fault in a repeated computation gives the
// key away. An error of random is returned as it is.
func (s *Signer) SignDigestsHedged(sigs []byte, digests [][]byte, random io.Reader) error {
	return s.sign(sigs, digests, random)
}

func (s *Signer) sign(sigs []byte, digests [][]byte, random io.Reader) error {
	if len(sigs) != SignatureSize*len(digests) {
		return &ShapeError{"signatures", -1, len(sigs), SignatureSize * len(digests)}
	}
	for i, d := range digests {
		if len(d) != DigestSize {
			return &ShapeError{"digest", i, len(d), DigestSize}
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.key == nil {
		return ErrClosed
	}
	if s.wide == nil {
		return s.signScalar(sigs, digests, random)
	}
	return s.signWide(sigs, digests, random)
}

// signScalar signs one digest after the other.
func (s *Signer) signScalar(sigs []byte, digests [][]byte, random io.Reader) error {
	for i, digest := range digests {
		if err := s.signOne((*[64]byte)(sigs[SignatureSize*i:]), digest, random); err != nil {
			clear(sigs)
			return err
		}
	}
	return nil
}

// signOne signs by crypto/ecdsa, which tries nonces until neither r nor s is
// zero, so that a lane in which the wide code met one can be done again here.
func (s *Signer) signOne(sig *[64]byte, digest []byte, random io.Reader) error {
	der, err := s.key.Sign(random, digest, crypto.SHA256)
	if err != nil {
		return err
	}
	var inner cryptobyte.String
	outer := cryptobyte.String(der)
	r, t := make([]byte, 0, 33), make([]byte, 0, 33)
	if !outer.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&t) {
		return &KeyError{"crypto/ecdsa made a signature that is not an Ecdsa-Sig-Value"}
	}
	clear(sig[:])
	copy(sig[32-len(r):], r)
	copy(sig[64-len(t):], t)
	return nil
}

// Close overwrites the private key. Calls that are running finish before it.
func (s *Signer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		return nil
	}
	clear(s.d[:])
	//lint:ignore SA1019 only the number itself can be zeroed
	clear(s.key.D.Bits())
	s.key = nil
	s.nonces.Close()
	if s.wide != nil {
		s.wide.wipe()
	}
	return nil
}
