package issue

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/vouchmill/vouchmill/codec"
	devices "github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/run"
)

// maxTemplates bounds the compiled templates kept. A list with more variants in
// turn has them compiled again: slower, never wrong.
const maxTemplates = 256

// A variant is one of a run's variants with its template.
type variant struct {
	raw      string // the columns as they stood in the row
	id       uint32
	json     []byte // canonical
	keyID    []byte // of the issuer, nil where there is none
	template *run.Template
}

// variants finds the variant of each row. It belongs to the filler.
type variants struct {
	header   *run.Header
	compiler *run.Compiler
	numbers  map[[16]byte]uint32 // by the hash of the canonical JSON
	byRaw    map[string]*list.Element
	recent   *list.List // of *variant, most recently used first
	last     *variant
	raw      []byte
	column   bool // issuers come from a column, which asks for the leaf
}

func newVariants(h *run.Header, c *run.Compiler) *variants {
	return &variants{header: h, compiler: c, numbers: make(map[[16]byte]uint32),
		byRaw: make(map[string]*list.Element), recent: list.New()}
}

// known takes in a variant the store has.
func (v *variants) known(id uint32, json []byte) { v.numbers[variantHash(json)] = id }

func variantHash(json []byte) (h [16]byte) {
	sum := sha256.Sum256(json)
	copy(h[:], sum[:])
	return h
}

// of returns the variant of a row, and whether the run had none like it.
func (v *variants) of(rec *devices.Record) (found *variant, fresh bool, err error) {
	v.raw = v.raw[:0]
	for _, column := range [...][]byte{rec.Pin, rec.Issuer, rec.ExpiresOn} {
		v.raw = binary.AppendUvarint(v.raw, uint64(len(column)))
		v.raw = append(v.raw, column...)
	}
	if v.last != nil && v.last.raw == string(v.raw) {
		return v.last, false, nil
	}
	if e := v.byRaw[string(v.raw)]; e != nil {
		v.recent.MoveToFront(e)
		v.last = e.Value.(*variant)
		return v.last, false, nil
	}
	made, err := v.make(rec)
	if err != nil {
		return nil, false, err
	}
	h := variantHash(made.json)
	id, known := v.numbers[h]
	if !known {
		if len(v.numbers) >= manifest.MaxTemplates {
			return nil, false, fmt.Errorf("this row would be the run's variant %d of pin, issuer and expiry, a manifest holds %d; split the list into runs", len(v.numbers)+1, manifest.MaxTemplates)
		}
		id = uint32(len(v.numbers))
		v.numbers[h] = id
	}
	made.id = id
	if v.recent.Len() >= maxTemplates {
		oldest := v.recent.Back()
		delete(v.byRaw, oldest.Value.(*variant).raw)
		v.recent.Remove(oldest)
	}
	v.byRaw[made.raw] = v.recent.PushFront(made)
	v.last = made
	return made, !known, nil
}

// make works a row's variant out and compiles its template.
func (v *variants) make(rec *devices.Record) (*variant, error) {
	created, err := v.header.Created()
	if err != nil {
		return nil, err
	}
	asked := v.header.ExpiresOn
	if rec.ExpiresOn != nil {
		asked = string(rec.ExpiresOn)
	}
	expires, err := run.ResolveExpiry(asked, created)
	if err != nil {
		return nil, err
	}
	rv := run.Variant{Pin: string(rec.Pin), Issuer: v.header.Issuer, Include: v.header.IncludeIssuer, ExpiresOn: expires}
	if rec.Issuer != nil {
		rv.Issuer = append([]byte(nil), rec.Issuer...)
		// A column asks for the leaf; a certificate only tells who issued it.
		rv.Include = rv.Include || v.column
	}
	rv.Include = rv.Include && rv.Issuer != nil
	template, err := v.compiler.Compile(&rv)
	if err != nil {
		return nil, err
	}
	made := &variant{raw: string(v.raw), json: rv.Marshal(), template: template}
	if rv.Issuer != nil {
		if made.keyID, err = codec.IssuerKeyID(rv.Issuer); err != nil {
			return nil, err
		}
	}
	return made, nil
}
