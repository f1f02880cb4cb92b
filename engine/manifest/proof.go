package manifest

import (
	"bytes"
	"encoding/json"

	"github.com/vouchmill/vouchmill/engine/merkle"
)

const (
	// MaxPath bounds the path of a proof: a tree of 2^64 leaves has no longer one.
	MaxPath = 64
	// MaxProofBytes bounds a proof as written, in octets.
	MaxProofBytes = 16 << 10
)

// Proof shows that one voucher is in the run of a manifest. It proves nothing
// by itself: what it leads to is signed in the manifest.
type Proof struct {
	// Run is the run's name.
	Run string
	// Index is the voucher's place in the run, from 0; Size the run's count.
	Index, Size uint64
	// Leaf is the hash of the voucher's leaf, see [LeafHash].
	Leaf Digest
	// Path has the sibling hashes from the leaf upwards (RFC 9162 §2.1.3).
	Path []Digest
	// Root is [Manifest.Root] of the manifest.
	Root Digest
}

// proofDocument is the JSON form; the order of the fields is that of the members.
type proofDocument struct {
	Version int      `json:"vouchmill-proof"`
	Run     string   `json:"run"`
	Index   uint64   `json:"leaf-index"`
	Size    uint64   `json:"tree-size"`
	Leaf    Digest   `json:"leaf-hash"`
	Path    []Digest `json:"path"`
	Root    Digest   `json:"manifest-root"`
}

// LeafHash is a voucher's leaf: SHA-256 of a zero octet, the digest that was
// signed and the raw signature. The package comment says which digest.
func LeafHash(signedDigest, signature []byte) Digest {
	return Digest(merkle.LeafHash(signedDigest, signature))
}

// AppendJSON appends the one byte form of p and a line feed. The error is an
// [*Error].
func (p *Proof) AppendJSON(dst []byte) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	body, err := marshal(&proofDocument{Version: Version, Run: p.Run, Index: p.Index, Size: p.Size,
		Leaf: p.Leaf, Path: append([]Digest{}, p.Path...), Root: p.Root})
	if err != nil {
		return nil, &Error{Document: "proof", Kind: ErrContent, Err: err}
	}
	return append(append(dst, body...), '\n'), nil
}

func (p *Proof) check() error {
	if err := checkName("run", p.Run); err != nil {
		return asProof(err)
	}
	if p.Index >= p.Size {
		return asProof(fail("leaf-index", ErrContent, "%d, in a tree of %d leaves", p.Index, p.Size))
	}
	if len(p.Path) > MaxPath {
		return asProof(fail("path", ErrTooLarge, "%d hashes, the limit is %d", len(p.Path), MaxPath))
	}
	return nil
}

// asProof makes a manifest's error one of a proof.
func asProof(err error) error {
	if e, ok := err.(*Error); ok {
		e.Document = "proof"
	}
	return err
}

// ParseProof reads what [Proof.AppendJSON] wrote; white space does not matter,
// all else does. The error is an [*Error].
func ParseProof(text []byte) (*Proof, error) {
	if len(text) > MaxProofBytes {
		return nil, asProof(fail("", ErrTooLarge, "%d octets, the limit is %d", len(text), MaxProofBytes))
	}
	if err := checkVersion("proof", "vouchmill-proof", text); err != nil {
		return nil, err
	}
	var d proofDocument
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, &Error{Document: "proof", Kind: ErrSyntax, Err: err}
	}
	p := &Proof{Run: d.Run, Index: d.Index, Size: d.Size, Leaf: d.Leaf, Path: d.Path, Root: d.Root}
	canonical, err := p.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, &Error{Document: "proof", Kind: ErrSyntax, Err: err}
	}
	if !bytes.Equal(bytes.TrimSuffix(canonical, []byte("\n")), compact.Bytes()) {
		return nil, asProof(fail("", ErrSyntax, "it has more, fewer or other members than a proof has, or they come in another order"))
	}
	return p, nil
}

// Verify checks that the voucher with this leaf hash is at p.Index of the run
// that m states. m must have been verified, and leaf computed from the voucher
// itself ([LeafHash]): a proof is only as good as both. The error is an
// [*Error] of kind ErrProof.
func (p *Proof) Verify(m *Manifest, leaf Digest) error {
	remedy := "check that voucher, proof and manifest are of the same run"
	switch root := m.Root(); {
	case p.Leaf != leaf:
		return &Error{Document: "proof", Place: "leaf-hash", Kind: ErrProof, Detail: "it is of another voucher: this one's is " + leaf.String(), Remedy: remedy}
	case p.Root != root:
		return &Error{Document: "proof", Place: "manifest-root", Kind: ErrProof, Detail: "it is of another manifest: this one's is " + root.String(), Remedy: remedy}
	case p.Size != m.Count || p.Run != m.Run:
		return &Error{Document: "proof", Place: "tree-size", Kind: ErrProof, Detail: "run or size are not the manifest's", Remedy: remedy}
	}
	path := make([]merkle.Hash, len(p.Path))
	for i, d := range p.Path {
		path[i] = merkle.Hash(d)
	}
	if err := merkle.VerifyInclusion(p.Index, p.Size, merkle.Hash(leaf), path, merkle.Hash(m.TreeRoot)); err != nil {
		return &Error{Document: "proof", Place: "path", Kind: ErrProof, Err: err, Remedy: remedy}
	}
	return nil
}
