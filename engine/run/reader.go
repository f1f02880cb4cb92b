package run

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"iter"
	"sync"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// maxKept bounds the compiled variants a Reader keeps.
const maxKept = 256

// A Reader rebuilds the vouchers of a stored run. It is safe for concurrent use.
type Reader struct {
	Run      *store.Run
	Header   *Header
	Compiler *Compiler

	mu     sync.Mutex
	kept   map[uint32]*list.Element // of *StoredVariant
	recent *list.List               // most recently used first
}

// A StoredVariant is a variant of a stored run, compiled.
type StoredVariant struct {
	ID uint32
	Variant
	KeyID    []byte // key identifier of Issuer, nil where there is none
	Template *Template
}

// NewReader returns a reader of one run.
func NewReader(r *store.Run) (*Reader, error) {
	h, err := ParseHeader(r.Header())
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", r.Name(), err)
	}
	c, err := NewCompiler(h)
	if err != nil {
		return nil, err
	}
	return &Reader{Run: r, Header: h, Compiler: c, kept: make(map[uint32]*list.Element), recent: list.New()}, nil
}

// Variant returns variant id of the run. The result is shared: it must not be
// changed.
func (r *Reader) Variant(id uint32) (*StoredVariant, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.kept[id]; e != nil {
		r.recent.MoveToFront(e)
		return e.Value.(*StoredVariant), nil
	}
	b, err := r.Run.Variant(id)
	if err != nil {
		return nil, err
	}
	v, err := ParseVariant(b)
	if err != nil {
		return nil, fmt.Errorf("run %s, variant %d: %w", r.Run.Name(), id, err)
	}
	s := &StoredVariant{ID: id, Variant: *v}
	if s.Template, err = r.Compiler.Compile(v); err != nil {
		return nil, fmt.Errorf("run %s, variant %d: %w", r.Run.Name(), id, err)
	}
	if v.Issuer != nil {
		if s.KeyID, err = codec.IssuerKeyID(v.Issuer); err != nil {
			return nil, fmt.Errorf("run %s, variant %d: %w", r.Run.Name(), id, err)
		}
	}
	if r.recent.Len() >= maxKept {
		oldest := r.recent.Back()
		delete(r.kept, oldest.Value.(*StoredVariant).ID)
		r.recent.Remove(oldest)
	}
	r.kept[id] = r.recent.PushFront(s)
	return s, nil
}

// A Found is a stored voucher with its variant.
type Found struct {
	store.Hit
	*StoredVariant
}

// Find yields the vouchers the run has for a serial number, of all issuers.
func (r *Reader) Find(serial []byte) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		for hit, err := range r.Run.Lookup(serial) {
			found := Found{Hit: hit}
			if err == nil {
				found.StoredVariant, err = r.Variant(hit.Variant)
			}
			if !yield(found, err) {
				return
			}
		}
	}
}

// TemplateDigest is the SHA-256 of the constants of one variant's template, as
// the manifest lists it.
func TemplateDigest(t *Template) [sha256.Size]byte {
	return sha256.Sum256(t.AppendConstants(nil))
}

// TemplateDigests returns the digests of all variants, in the order of their
// numbers.
func (r *Reader) TemplateDigests() ([][sha256.Size]byte, error) {
	ids, err := r.Run.Variants()
	if err != nil {
		return nil, err
	}
	digests := make([][sha256.Size]byte, 0, len(ids))
	for i, id := range ids {
		if uint32(i) != id {
			return nil, fmt.Errorf("run %s: variant %d is missing; restore the store from a copy", r.Run.Name(), i)
		}
		v, err := r.Variant(id)
		if err != nil {
			return nil, err
		}
		digests = append(digests, TemplateDigest(v.Template))
	}
	return digests, nil
}

// Voucher rebuilds one voucher and proves it: the signature must verify under
// the run's own certificate.
func (r *Reader) Voucher(f Found) ([]byte, error) {
	m, err := NewMaker(r.Compiler.Algorithm())
	if err != nil {
		return nil, err
	}
	if err := m.Prepare([][]byte{f.Serial}, []*Template{f.Template}); err != nil {
		return nil, err
	}
	key, err := sign.PreparePublicKey(r.Compiler.Algorithm(), r.Compiler.SignerKey())
	if err != nil {
		return nil, err
	}
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		return nil, err
	}
	if err := verifier.VerifyBatch([]sign.VerifyItem{{Key: key, Input: m.Inputs()[0], Signature: f.Signature}}); err != nil {
		return nil, &store.DamageError{Run: r.Run.Name(), Part: "page", Number: uint64(f.Page),
			Err: fmt.Errorf("the signature of serial number %q does not verify: %w", f.Serial, err)}
	}
	return m.AppendEnvelope(nil, 0, f.Signature)
}

// Proof returns the proof that a found voucher is in the run's manifest.
func (r *Reader) Proof(f Found) (*manifest.Proof, error) {
	signed, err := manifest.Parse(r.Run.Final())
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", r.Run.Name(), err)
	}
	rebuilder, err := r.NewRebuilder()
	if err != nil {
		return nil, err
	}
	var own merkle.Hash
	path, size, err := r.Run.InclusionProof(f.Position, func(v *page.View, dst []merkle.Hash) ([]merkle.Hash, error) {
		if err := rebuilder.Page(f.Page, v.Bytes()); err != nil {
			return dst, err
		}
		dst, err := rebuilder.appendLeaves(dst)
		if err == nil {
			own = dst[f.Index]
		}
		return dst, err
	})
	if err != nil {
		return nil, err
	}
	p := &manifest.Proof{Run: r.Run.Name(), Index: f.Position, Size: size, Leaf: manifest.Digest(own), Root: signed.Manifest.Root()}
	for _, h := range path {
		p.Path = append(p.Path, manifest.Digest(h))
	}
	return p, p.Verify(signed.Manifest, p.Leaf)
}
