package codec

import "bytes"

// headerMemo remembers what the protected header of a JWS said. All vouchers of
// a run have the same one, mostly certificates, and to compare its octets costs
// a fraction of decoding it.
type headerMemo struct {
	text   []byte // base64url, as received; empty while there is nothing to remember
	limits Limits // it was read within
	arena  []byte // what signer and certificates are views into
	certs  [][]byte
	signer EnvelopeSigner
	odd    []Oddity
}

// read does for the first signer of an envelope what protectedHeaderJWS does,
// out of memory where it can.
func (m *headerMemo) read(d *EnvelopeDecoder, protected []byte, e *Envelope, s *EnvelopeSigner) error {
	if len(e.Signers) > 1 || len(e.Oddities) > 0 || d.inspecting {
		return d.protectedHeaderJWS(protected, e, s)
	}
	if len(m.text) > 0 && m.limits == d.limits && bytes.Equal(m.text, protected) {
		e.Certificates = append(e.Certificates, m.certs...)
		e.Oddities = append(e.Oddities, m.odd...)
		m.describe(s, &m.signer)
		return nil
	}
	m.text = m.text[:0]
	d.arena, m.arena = m.arena[:0], d.arena
	err := d.protectedHeaderJWS(protected, e, s)
	d.arena, m.arena = m.arena, d.arena
	if err != nil {
		return err
	}
	m.text, m.limits = append(m.text, protected...), d.limits
	m.certs, m.odd = append(m.certs[:0], e.Certificates...), append(m.odd[:0], e.Oddities...)
	m.describe(&m.signer, s)
	return nil
}

// describe copies what a protected header says of its signer.
func (*headerMemo) describe(to, from *EnvelopeSigner) {
	to.JOSE, to.KeyID, to.X5T = from.JOSE, from.KeyID, from.X5T
	to.CertIndex, to.CertCount = from.CertIndex, from.CertCount
}
