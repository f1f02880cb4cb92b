package run

import (
	"crypto/sha256"
	"fmt"

	"github.com/vouchmill/vouchmill/sign"
)

// A Maker computes vouchers for whole batches, step by step over all items. It
// is scratch memory and belongs to one goroutine at a time; after the first
// batch of a size it allocates nothing.
//
// Prepare comes first; what the other methods return or use refers to the batch
// prepared last and is overwritten by the next Prepare.
type Maker struct {
	alg  *sign.Algorithm
	hash *sign.Hasher // alg.Hash
	leaf *sign.Hasher // SHA-256, for the Merkle tree

	serials   [][]byte
	templates []*Template

	arena    []byte         // tails, or whole messages where the algorithm signs those
	prefixes []*sign.Prefix // prefix state of each item
	views    [][]byte       // tails, then what the second hash takes
	content  []byte         // flat digests of the contents (CMS), stride hash size
	signed   []byte         // flat digests that are signed; for message algorithms SHA-256 of the message
	inputs   [][]byte       // what the signer takes
	entries  []byte         // flat Merkle leaf entries
}

// NewMaker returns a Maker for one algorithm. It fails where the algorithm's
// hash is not to be had.
func NewMaker(alg *sign.Algorithm) (*Maker, error) {
	hash, err := sign.NewHasher(alg.Hash)
	if err != nil {
		return nil, err
	}
	leaf, err := sign.NewHasher(sign.SHA256)
	if err != nil {
		return nil, err
	}
	return &Maker{alg: alg, hash: hash, leaf: leaf}, nil
}

// Prepare encodes and hashes the contents of one batch: serials[i] goes into
// templates[i]. The slices must stay unchanged until the batch is done. An error
// names the item by its index.
func (m *Maker) Prepare(serials [][]byte, templates []*Template) error {
	if err := m.Encode(serials, templates); err != nil {
		return err
	}
	return m.Hash()
}

// Encode is the first half of Prepare: it appends what varies of every content.
func (m *Maker) Encode(serials [][]byte, templates []*Template) error {
	m.serials, m.templates = serials, templates
	m.arena, m.views, m.inputs = m.arena[:0], m.views[:0], m.inputs[:0]
	for i, s := range serials {
		t := templates[i]
		start := len(m.arena)
		if m.alg.Message && t.attrs == nil {
			m.arena = t.AppendPrefix(m.arena, t.Class(s))
		}
		var err error
		if m.arena, err = t.AppendTail(m.arena, s); err != nil {
			return fmt.Errorf("item %d, serial number %.80q: %w", i, s, err)
		}
		m.views = append(m.views, m.arena[start:len(m.arena):len(m.arena)])
	}
	return nil
}

// Hash is the second half of Prepare: it computes what is signed. In CMS that
// takes two hashes, the content's first, then that of the signed attributes it
// goes into (RFC 5652 §5.4).
func (m *Maker) Hash() error {
	n := len(m.serials)
	m.content = m.content[:0]
	if n == 0 {
		return nil
	}
	if m.templates[0].attrs != nil {
		if err := m.hashContents(n); err != nil {
			return err
		}
	}
	if m.alg.Message {
		return m.collectMessages(n)
	}
	if m.templates[0].attrs == nil {
		if err := m.contentPrefixes(); err != nil {
			return err
		}
	}
	size := m.hash.Size()
	m.signed = grow(m.signed[:0], n*size)
	if err := m.hash.SumTails(m.signed, m.prefixes, m.views); err != nil {
		return err
	}
	for i := range n {
		m.inputs = append(m.inputs, m.signed[i*size:(i+1)*size])
	}
	return nil
}

func (m *Maker) contentPrefixes() error {
	m.prefixes = m.prefixes[:0]
	for i, t := range m.templates {
		p, err := t.prefix(m.serials[i])
		if err != nil {
			return err
		}
		m.prefixes = append(m.prefixes, p)
	}
	return nil
}

// hashContents leaves the digests of the contents in m.content, and in m.views
// and m.prefixes what the signed attributes are made of.
func (m *Maker) hashContents(n int) error {
	if err := m.contentPrefixes(); err != nil {
		return err
	}
	size := m.hash.Size()
	m.content = grow(m.content, n*size)
	if err := m.hash.SumTails(m.content, m.prefixes, m.views); err != nil {
		return err
	}
	for i, t := range m.templates {
		m.views[i] = m.content[i*size : (i+1)*size]
		m.prefixes[i] = t.attrs
	}
	return nil
}

// collectMessages gathers whole messages for the algorithms that sign those, and
// their SHA-256 for the leaves.
func (m *Maker) collectMessages(n int) error {
	for i, t := range m.templates {
		if t.attrs == nil {
			m.inputs = append(m.inputs, m.views[i])
			continue
		}
		start := len(m.arena)
		m.arena = append(append(m.arena, t.AttributesPrefix()...), m.views[i]...)
		m.inputs = append(m.inputs, m.arena[start:len(m.arena):len(m.arena)])
	}
	m.signed = grow(m.signed[:0], n*sha256.Size)
	return m.leaf.Sum(m.signed, m.inputs)
}

// Inputs returns what the signer signs for each item: digests, or whole
// messages where Algorithm.Message says so.
func (m *Maker) Inputs() [][]byte { return m.inputs }

// Leaves writes the Merkle leaf hash of each item to dst (32 octets each):
// SHA-256(0x00 ‖ signed digest ‖ raw signature), RFC 9162 §2.1.1. sigs holds the
// raw signatures, flat.
func (m *Maker) Leaves(dst, sigs []byte) error {
	n := len(m.inputs)
	if n == 0 {
		return nil
	}
	digest, sig := len(m.signed)/n, m.alg.SignatureSize
	size := 1 + digest + sig
	m.entries = grow(m.entries[:0], n*size)
	for i := range n {
		e := m.entries[i*size : (i+1)*size]
		e[0] = 0
		copy(e[1:], m.signed[i*digest:(i+1)*digest])
		copy(e[1+digest:], sigs[i*sig:(i+1)*sig])
		m.views[i] = e
	}
	return m.leaf.Sum(dst, m.views[:n])
}

// AppendEnvelope appends the finished voucher of item i to dst.
func (m *Maker) AppendEnvelope(dst []byte, i int, signature []byte) ([]byte, error) {
	var digest []byte
	if size := m.hash.Size(); len(m.content) > 0 {
		digest = m.content[i*size : (i+1)*size]
	}
	return m.templates[i].AppendEnvelope(dst, m.serials[i], digest, signature)
}

// grow returns b with length n and room to spare.
func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n, n+n/4)
	}
	return b[:n]
}
