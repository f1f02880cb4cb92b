package verify

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/sign"
)

// A checker checks the vouchers of one batch at a time. It belongs to one
// worker.
type checker struct {
	at       time.Time
	expect   *Expectation
	limits   codec.Limits
	chains   *chains
	digests  digests
	verifier sign.Verifier
	readers  [codec.FormatCOSE + 1]reader // by format, as a pile may mix them
	pins     pins
	rebuild  rebuilder

	subjects []subject
	who      []*signer         // candidates of the signature at hand
	items    []sign.VerifyItem // of the round at hand
	of       []*subject        // items[k] is an attempt of of[k]
	entries  []byte            // Merkle leaf entries, flat
	spans    []span            // of the entries
	views    [][]byte
	leaves   []byte
	leaf     *sign.Hasher // SHA-256
}

func newChecker(trust *Trust, expect *Expectation, limits codec.Limits) (*checker, error) {
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		return nil, err
	}
	leaf, err := sign.NewHasher(sign.SHA256)
	if err != nil {
		return nil, err
	}
	c := &checker{at: trust.At, expect: expect, limits: limits, chains: newChains(trust), verifier: verifier, leaf: leaf, pins: newPins()}
	for i := range c.readers {
		c.readers[i].decoder = codec.PayloadDecoder{Unknown: codec.KeepUnknown, Remember: true}
	}
	return c, nil
}

// check checks all vouchers of b and leaves in each item what is wrong with it.
// The error is for what is no voucher's fault.
func (c *checker) check(b *batch) error {
	if b.source.stored != nil && !c.stored(b) {
		return nil
	}
	c.limits.SerialBytes = b.source.serialBytes
	for len(c.subjects) < len(b.items) {
		c.subjects = append(c.subjects, subject{})
	}
	subjects := c.subjects[:len(b.items)]
	c.digests.reset()
	for i := range b.items {
		if err := c.open(&subjects[i], &b.items[i], c.octets(b, i)); err != nil {
			return err
		}
		if err := c.addLeaf(b.source.leaf, &subjects[i]); err != nil {
			return err
		}
	}
	if err := c.digests.sum(); err != nil {
		return err
	}
	if err := c.verifyAll(subjects); err != nil {
		return err
	}
	for i := range b.items {
		s, it := &subjects[i], &b.items[i]
		if s.proven >= 0 {
			c.payload(s, it, b)
		}
		it.finding, it.format = s.finding, s.envelope.Format
	}
	if b.source.leaf != nil {
		return c.tree(b, subjects)
	}
	return nil
}

// stored makes vouchers of a page and compares its Merkle nodes. It reports
// whether there is anything to check.
func (c *checker) stored(b *batch) bool {
	if b.blank {
		return false
	}
	if b.damage.none() {
		if err := c.rebuild.vouchers(b); err != nil {
			b.damage = damage(err)
		}
	}
	if !b.damage.none() {
		b.items = b.items[:0]
		return false
	}
	if err := c.rebuild.page.Range(&b.nodes); err != nil {
		b.damage = damage(err)
	}
	return true
}

// octets returns voucher i of b: as it was read, or as it was rebuilt.
func (c *checker) octets(b *batch, i int) []byte {
	if b.source.stored != nil {
		return c.rebuild.voucher(i)
	}
	return b.at(b.items[i].voucher)
}

// verifyAll verifies signatures in rounds: of each voucher not yet proven the
// next attempt. Nearly all vouchers have one.
func (c *checker) verifyAll(subjects []subject) error {
	for {
		c.items, c.of = c.items[:0], c.of[:0]
		for i := range subjects {
			c.nextAttempt(&subjects[i])
		}
		if len(c.items) == 0 {
			return nil
		}
		var batch *sign.BatchError
		if err := c.verifier.VerifyBatch(c.items); err != nil && !errors.As(err, &batch) {
			return err
		}
		for k := range c.items {
			c.judge(c.of[k], c.items[k].Err)
		}
	}
}

// nextAttempt puts a voucher's next attempt into the round. Attempts whose
// content is not what was signed fail before that.
func (c *checker) nextAttempt(s *subject) {
	for s.proven < 0 && s.next < len(s.attempts) {
		a := &s.attempts[s.next]
		signer := &s.envelope.Signers[a.signer]
		if s.envelope.Format == codec.FormatCMS && !bytes.Equal(c.digests.get(a.content), signer.ContentDigest) {
			s.fail(found(CheckDigest, "take the voucher from where it was issued", "the content is not the one that was signed: its %v is %x, the signed attributes state %x (RFC 5652 §5.4)",
				a.content.hash, c.digests.get(a.content), signer.ContentDigest))
			s.next++
			continue
		}
		input := signer.Signed
		if a.signed != (digest{}) {
			input = c.digests.get(a.signed)
		}
		c.items = append(c.items, sign.VerifyItem{Key: a.key, Input: input, Signature: signer.Signature})
		c.of = append(c.of, s)
		return
	}
}

// judge takes the result of a voucher's attempt.
func (c *checker) judge(s *subject, err error) {
	a := &s.attempts[s.next]
	if err == nil {
		s.proven, s.finding = s.next, finding{}
		if s.hidden(a.signer) {
			c.chains.prefer(a.who)
		}
		return
	}
	s.next++
	cause := err.Error()
	if errors.Is(err, sign.ErrSignature) {
		cause = "the signed octets were altered, or another key made it"
	}
	if s.hidden(a.signer) {
		s.fail(found(CheckSignature, "name the signer's certificate as a helper, if it is another",
			"the envelope does not show its signer, and it verifies under none of the %d keys at hand", len(s.attempts)))
		return
	}
	s.fail(found(CheckSignature, "take the voucher from where it was issued", "it does not verify under the %v key of %q: %s", a.key.Algorithm(), a.who.cert.Subject, cause))
}

// prefer puts an anchor or helper first among those that are tried for vouchers
// without certificates.
func (c *chains) prefer(who *signer) {
	if len(c.local) == 0 || c.local[0] == who {
		return
	}
	for i, known := range c.local {
		if known == who {
			copy(c.local[1:i+1], c.local[:i])
			c.local[0] = who
			return
		}
	}
}

// addLeaf has hashed what the leaf of a voucher binds. The algorithm is the
// run's, so that the tree does not depend on whom the caller believes.
func (c *checker) addLeaf(alg *sign.Algorithm, s *subject) error {
	if alg == nil || !s.decoded {
		return nil
	}
	h := alg.Hash
	if alg.Message {
		h = sign.SHA256
	} else if len(s.attempts) > 0 && s.attempts[0].signer == 0 && s.attempts[0].key.Algorithm() == alg {
		s.leaf = s.attempts[0].signed
		return nil
	}
	var err error
	s.leaf, err = c.digests.add(h, signedPart(s.envelope.Format), s.envelope.Signers[0].Signed)
	return err
}

// tree builds the Merkle range of b.
func (c *checker) tree(b *batch, subjects []subject) error {
	c.entries, c.spans, c.views = c.entries[:0], c.spans[:0], c.views[:0]
	for i := range subjects {
		s := &subjects[i]
		if !s.decoded {
			b.gap = i + 1
			return nil
		}
		begin := len(c.entries)
		c.entries = append(c.entries, 0) // RFC 9162 §2.1.1: a leaf
		c.entries = append(c.entries, c.digests.get(s.leaf)...)
		c.entries = append(c.entries, s.envelope.Signers[0].Signature...)
		c.spans = append(c.spans, span{begin, len(c.entries)})
	}
	for _, at := range c.spans {
		c.views = append(c.views, c.entries[at.begin:at.end])
	}
	if n := len(subjects) * sha256.Size; cap(c.leaves) < n {
		c.leaves = make([]byte, n)
	}
	if err := c.leaf.Sum(c.leaves[:len(subjects)*sha256.Size], c.views); err != nil {
		return err
	}
	b.nodes.Reset(b.first)
	for i := range subjects {
		b.nodes.Append(merkle.Hash(c.leaves[i*sha256.Size:]))
	}
	return nil
}
