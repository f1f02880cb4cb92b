package run

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// A Rebuilder makes the vouchers of a run's stored pages, one page at a time. It
// is scratch memory and belongs to one goroutine at a time; what its methods
// return is good until the next Page.
type Rebuilder struct {
	reader    *Reader
	maker     *Maker
	number    uint32
	view      page.View
	variant   *StoredVariant // the one used last
	serials   [][]byte
	variants  []*StoredVariant
	templates []*Template
	leaves    []byte
	tree      *merkle.Builder
	stored    merkle.Range
}

// NewRebuilder returns a Rebuilder for the pages of r.
func (r *Reader) NewRebuilder() (*Rebuilder, error) {
	maker, err := NewMaker(r.Compiler.Algorithm())
	if err != nil {
		return nil, err
	}
	hasher, err := sign.NewHasher(sign.SHA256)
	if err != nil {
		return nil, err
	}
	return &Rebuilder{reader: r, maker: maker, tree: merkle.NewBuilder(hasher)}, nil
}

func (b *Rebuilder) damaged(err error) error {
	var already *store.DamageError
	if errors.As(err, &already) {
		return err
	}
	return &store.DamageError{Run: b.reader.Run.Name(), Part: "page", Number: uint64(b.number), Err: err}
}

// Page takes in page number, whose octets must stay as they are. Its checksum is
// checked, its Merkle nodes are not: see Range. The error is a
// [*store.DamageError], after which there are no vouchers.
func (b *Rebuilder) Page(number uint32, octets []byte) error {
	b.number = number
	b.serials, b.variants, b.templates = b.serials[:0], b.variants[:0], b.templates[:0]
	if err := b.view.Parse(octets); err != nil {
		return b.damaged(err)
	}
	alg := b.reader.Compiler.Algorithm()
	if got := b.view.SignatureSize(); got != alg.SignatureSize {
		return b.damaged(fmt.Errorf("its signatures have %d octets, those of %v have %d", got, alg, alg.SignatureSize))
	}
	for i := range b.view.Count() {
		if id := b.view.Variant(i); b.variant == nil || b.variant.ID != id {
			v, err := b.reader.Variant(id)
			if err != nil {
				return b.damaged(err)
			}
			b.variant = v
		}
		b.serials = append(b.serials, b.view.Serial(i))
		b.variants = append(b.variants, b.variant)
		b.templates = append(b.templates, b.variant.Template)
	}
	if err := b.maker.Prepare(b.serials, b.templates); err != nil {
		return b.damaged(err)
	}
	return nil
}

// View is the page taken in.
func (b *Rebuilder) View() *page.View { return &b.view }

// Variant is that of voucher i of the page.
func (b *Rebuilder) Variant(i int) *StoredVariant { return b.variants[i] }

// AppendVoucher appends voucher i of the page to dst, without verifying it.
func (b *Rebuilder) AppendVoucher(dst []byte, i int) ([]byte, error) {
	dst, err := b.maker.AppendEnvelope(dst, i, b.view.Signature(i))
	if err != nil {
		return dst, b.damaged(fmt.Errorf("voucher %d: %w", i, err))
	}
	return dst, nil
}

// Range makes r the Merkle range of the page, computed from its vouchers. When
// that is not the one stored with it, the error is a [*store.DamageError] and r
// is what was computed all the same.
func (b *Rebuilder) Range(r *merkle.Range) error {
	if err := b.hashLeaves(); err != nil {
		return err
	}
	if err := b.tree.Build(r, b.view.First(), b.leaves); err != nil {
		return b.damaged(err)
	}
	b.view.Range(&b.stored)
	if !slices.Equal(r.Nodes, b.stored.Nodes) {
		return b.damaged(errors.New("its Merkle nodes are not those of its vouchers: a serial number, a signature, a variant or the run's header was altered"))
	}
	return nil
}

// hashLeaves computes the leaf hashes of the page, one after the other.
func (b *Rebuilder) hashLeaves() error {
	b.leaves = grow(b.leaves, b.view.Count()*sha256.Size)
	if err := b.maker.Leaves(b.leaves, b.view.Signatures()); err != nil {
		return b.damaged(err)
	}
	return nil
}

// appendLeaves appends the leaf hashes of the page to dst.
func (b *Rebuilder) appendLeaves(dst []merkle.Hash) ([]merkle.Hash, error) {
	if err := b.hashLeaves(); err != nil {
		return dst, err
	}
	for at := 0; at < len(b.leaves); at += sha256.Size {
		dst = append(dst, merkle.Hash(b.leaves[at:]))
	}
	return dst, nil
}
