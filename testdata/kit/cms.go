package kit

import (
	"bytes"
	"math/big"
	"slices"
	"time"
)

// Object identifiers of RFC 5652, RFC 5035 and RFC 8366 §8.4.
var (
	oidSignedData      = oid(1, 2, 840, 113549, 1, 7, 2)
	oidEnvelopedData   = oid(1, 2, 840, 113549, 1, 7, 3)
	oidData            = oid(1, 2, 840, 113549, 1, 7, 1)
	oidVoucher         = oid(1, 2, 840, 113549, 1, 9, 16, 1, 40)
	oidTSTInfo         = oid(1, 2, 840, 113549, 1, 9, 16, 1, 4)
	attrContentType    = oid(1, 2, 840, 113549, 1, 9, 3)
	attrMessageDigest  = oid(1, 2, 840, 113549, 1, 9, 4)
	attrSigningTime    = oid(1, 2, 840, 113549, 1, 9, 5)
	attrSigningCert    = oid(1, 2, 840, 113549, 1, 9, 16, 2, 47)
	attrCounterSigning = oid(1, 2, 840, 113549, 1, 9, 6)
)

// cmsMessage is a SignedData, put together as its fields say.
type cmsMessage struct {
	contentType []byte // of ContentInfo
	version     int
	eType       []byte
	payload     []byte
	detached    bool
	certs       [][]byte
	crls        []byte
	signers     []*cmsSigner
	wrap        func(tag byte, parts ...[]byte) []byte // how the outer elements have their lengths
	chunked     bool                                   // the content in pieces
}

// cmsSigner is one SignerInfo.
type cmsSigner struct {
	by            *identity
	sid           []byte // nil: issuerAndSerialNumber
	version       int
	digest        []byte // AlgorithmIdentifier
	algorithm     []byte // AlgorithmIdentifier
	attributes    [][]byte
	unsorted      bool // the attributes as they come
	noAttributes  bool
	unsigned      []byte
	signedPayload []byte // what was signed where it is not the content
	mend          func(signature []byte) []byte
}

func attribute(id []byte, values ...[]byte) []byte { return sequence(id, set(values...)) }

// newCMS is the message that the project itself writes for a payload.
func newCMS(by *identity, payload []byte) *cmsMessage {
	m := &cmsMessage{contentType: oidSignedData, version: 3, eType: oidVoucher, payload: payload, certs: slices.Clone(by.chain), wrap: tlv}
	m.signers = []*cmsSigner{newCMSSigner(by, m.eType, payload)}
	return m
}

func newCMSSigner(by *identity, eType, payload []byte) *cmsSigner {
	return &cmsSigner{by: by, version: 1, digest: by.alg.digest, algorithm: by.alg.signature,
		attributes: [][]byte{attribute(attrContentType, eType), attribute(attrMessageDigest, octetString(by.alg.sum(payload)))}}
}

// data turns it into what producers older than RFC 8366 write.
func (m *cmsMessage) data() *cmsMessage {
	m.eType, m.version = oidData, 1
	m.signers[0].attributes[0] = attribute(attrContentType, oidData)
	return m
}

func (s *cmsSigner) encode(payload []byte) []byte {
	sid := s.sid
	if sid == nil {
		sid = sequence(s.by.cert.RawIssuer, bigInteger(s.by.cert.SerialNumber))
	}
	message := payload
	if s.signedPayload != nil {
		message = s.signedPayload
	}
	var attributes []byte
	if !s.noAttributes {
		body := slices.Clone(s.attributes)
		if !s.unsorted {
			slices.SortFunc(body, bytes.Compare)
		}
		message = tlv(tagSet, body...)
		attributes = tlv(tagExplicit0, body...)
	}
	signature := s.by.alg.derSignature(s.by.key, message)
	if s.mend != nil {
		signature = s.mend(signature)
	}
	return sequence(integer(s.version), sid, s.digest, attributes, s.algorithm, octetString(signature), s.unsigned)
}

func bigInteger(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) == 0 || b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	return tlv(tagInteger, b)
}

func (m *cmsMessage) encode() []byte {
	content := octetString(m.payload)
	if m.chunked {
		half := len(m.payload) / 2
		content = indefinite(tagOctetString|0x20, octetString(m.payload[:half]), octetString(m.payload[half:]))
	}
	encap := m.wrap(tagSequence, m.eType, m.wrap(tagExplicit0, content))
	if m.detached {
		encap = sequence(m.eType)
	}
	var digests, signers [][]byte
	for _, s := range m.signers {
		digests = append(digests, s.digest)
		signers = append(signers, s.encode(m.payload))
	}
	slices.SortFunc(digests, bytes.Compare)
	digests = slices.CompactFunc(digests, bytes.Equal)
	var certs []byte
	if m.certs != nil {
		certs = m.wrap(tagExplicit0, m.certs...)
	}
	signed := m.wrap(tagSequence, integer(m.version), tlv(tagSet, digests...), encap, certs, m.crls, m.wrap(tagSet, signers...))
	return m.wrap(tagSequence, m.contentType, m.wrap(tagExplicit0, signed))
}

func utcTime(t time.Time) []byte { return tlv(tagUTCTime, []byte(t.UTC().Format("060102150405Z"))) }
