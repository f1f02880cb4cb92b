package verify

import (
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

// A subject is one voucher under examination. Subjects are used again for each
// batch; every one has a decoder of its own, as what a decoder returns is good
// until its next use.
type subject struct {
	decoder  codec.EnvelopeDecoder
	envelope codec.Envelope
	decoded  bool
	attempts []attempt // ways in which the signature may verify, in order
	next     int       // of the attempts, to be verified next
	proven   int       // the attempt that verified, -1 while there is none
	leaf     digest    // what the manifest's leaf binds, where a tree is wanted
	finding  finding
}

// An attempt is one signature under one key.
type attempt struct {
	who     *signer
	signer  int // index into envelope.Signers
	key     *sign.PublicKey
	content digest // of the payload, CMS only
	signed  digest // of the octets under the signature; none where those are signed whole
}

// fail notes what is wrong. Of several signers the one that came furthest
// explains it.
func (s *subject) fail(f finding) {
	if s.finding.none() || f.check.rank() > s.finding.check.rank() {
		s.finding = f
	}
}

// open decodes a voucher and has everything hashed that it takes to verify it.
func (c *checker) open(s *subject, it *item, voucher []byte) error {
	s.attempts, s.next, s.proven, s.leaf, s.finding, s.decoded = s.attempts[:0], 0, -1, digest{}, finding{}, false
	s.decoder.Limits = c.limits
	s.decoder.AllowWrapped = true
	s.decoder.AllowUntagged = it.format == codec.FormatCOSE
	if err := s.decoder.Decode(voucher, &s.envelope); err != nil {
		s.fail(found(CheckEnvelope, "inspect shows what it holds", "%v", err))
		return nil
	}
	s.decoded = true
	for i := range s.envelope.Signers {
		if err := c.attempt(s, i); err != nil {
			return err
		}
	}
	return nil
}

// hidden reports whether the envelope leaves open who made signature i, so that
// it has to be tried under several keys.
func (s *subject) hidden(i int) bool {
	return s.envelope.Signers[i].CertIndex < 0 && s.envelope.Format != codec.FormatCMS
}

// attempt finds who may have made signature i of the envelope.
func (c *checker) attempt(s *subject, i int) error {
	var why finding
	c.who, why = c.chains.candidates(c.who[:0], &s.envelope, &s.envelope.Signers[i])
	begin := len(s.attempts)
	for _, who := range c.who {
		key, f := c.key(s, i, who)
		if !f.none() {
			if why.none() {
				why = f
			}
			continue
		}
		if err := c.hash(s, i, who, key); err != nil {
			return err
		}
	}
	switch {
	case len(s.attempts) > begin:
	case s.hidden(i) && len(c.who) > 0:
		s.fail(found(CheckChain, "name the signer's certificate as a helper",
			"the envelope does not show its signer, and none of the %d certificates at hand can have signed it (the first: %s)", len(c.who), why.reason))
	default:
		s.fail(why)
	}
	return nil
}

// key is that of a candidate for signature i, or why it is none.
func (c *checker) key(s *subject, i int, who *signer) (*sign.PublicKey, finding) {
	if who.cert == nil {
		return nil, who.bad
	}
	const remedy = "ask the issuer for a signature by an algorithm of its key"
	alg, err := who.algorithm(s.envelope.Format, &s.envelope.Signers[i])
	if err != nil {
		return nil, found(CheckAlgorithm, remedy, "signer %q: %v", who.cert.Subject, err)
	}
	if !who.bad.none() {
		return nil, who.bad
	}
	key, err := who.prepare(alg)
	if err != nil {
		return nil, found(CheckAlgorithm, remedy, "signer %q: %v", who.cert.Subject, err)
	}
	return key, finding{}
}

// hash adds an attempt, and what it needs to the batch's digests. Attempts of
// one signature that take the same hash share it.
func (c *checker) hash(s *subject, i int, who *signer, key *sign.PublicKey) error {
	signer, alg := &s.envelope.Signers[i], key.Algorithm()
	a := attempt{who: who, signer: i, key: key}
	if n := len(s.attempts); n > 0 && s.attempts[n-1].signer == i && s.attempts[n-1].key.Algorithm() == alg {
		a.content, a.signed = s.attempts[n-1].content, s.attempts[n-1].signed
		s.attempts = append(s.attempts, a)
		return nil
	}
	var err error
	if s.envelope.Format == codec.FormatCMS {
		if a.content, err = c.digests.add(alg.Hash, partContent, s.envelope.Payload); err != nil {
			return err
		}
	}
	if !alg.Message {
		if a.signed, err = c.digests.add(alg.Hash, signedPart(s.envelope.Format), signer.Signed); err != nil {
			return err
		}
	}
	s.attempts = append(s.attempts, a)
	return nil
}
