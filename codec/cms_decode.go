package codec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// maxAttributes bounds the signed attributes of one signer; vouchers have two
// or three.
const maxAttributes = 32

func (d *EnvelopeDecoder) decodeCMS(b []byte, e *Envelope) error {
	err := d.cms(b, e)
	if !errors.Is(err, der.ErrNotDER) {
		return err
	}
	// BER: brought into DER once, then read like everything else. What was
	// signed is DER by RFC 5652 §5.4, so the verifier sees what the signer saw.
	start := len(d.arena)
	d.arena, err = der.Normalize(d.arena, b, d.limits.Depth)
	if err != nil {
		return cmsFault("", err)
	}
	odd := e.Oddities
	e.reset()
	e.Oddities = odd
	d.flaws = d.flaws[:0]
	e.odd(OddBER)
	return d.cms(d.arena[start:len(d.arena):len(d.arena)], e)
}

// cmsFault words an error of the DER reader.
func cmsFault(part string, cause error) error {
	if errors.Is(cause, der.ErrTrailing) {
		return &EnvelopeError{Format: FormatCMS, Flaw: FlawTrailing, Part: part, Text: "cut off what follows", Err: cause}
	}
	return malformed(FormatCMS, part, cause)
}

// cms reads ContentInfo and SignedData (RFC 5652 §3, §5.1).
func (d *EnvelopeDecoder) cms(b []byte, e *Envelope) error {
	e.Format = FormatCMS
	outer := der.Cursor{Rest: b}
	info, err := outer.Enter(der.TagSequence)
	if err != nil {
		return cmsFault("ContentInfo", err)
	}
	if err = outer.End(); err != nil {
		return cmsFault("ContentInfo", err)
	}
	kind, err := info.Read(der.TagOID)
	if err != nil {
		return cmsFault("contentType", err)
	}
	if !bytes.Equal(kind.Body, oidSignedData) {
		return refusal(FormatCMS, FlawKind, "contentType", fmt.Sprintf("is %s, not signedData (1.2.840.113549.1.7.2)", oidString(kind.Body)))
	}
	explicit, err := info.Enter(der.ContextConstructed)
	if err != nil {
		return cmsFault("content", err)
	}
	signed, err := explicit.Enter(der.TagSequence)
	if err != nil {
		return cmsFault("SignedData", err)
	}
	if err = errors.Join(explicit.End(), info.End()); err != nil {
		return cmsFault("ContentInfo", err)
	}
	return d.signedData(signed, e)
}

func (d *EnvelopeDecoder) signedData(c der.Cursor, e *Envelope) error {
	number, err := c.Read(der.TagInteger)
	if err != nil {
		return cmsFault("version", err)
	}
	version, err := der.SmallInteger(number.Body)
	if err != nil {
		return cmsFault("version", err)
	}
	if _, err = c.Read(der.TagSet); err != nil {
		return cmsFault("digestAlgorithms", err)
	}
	if err = d.encapsulated(&c, e); err != nil {
		return err
	}
	if err = d.cmsCertificates(&c, e); err != nil {
		return err
	}
	crls, err := c.Optional(der.ContextConstructed | 1)
	if err != nil {
		return cmsFault("crls", err)
	}
	if crls.Raw != nil {
		e.odd(OddCRLs)
	}
	signers, err := c.Enter(der.TagSet)
	if err != nil {
		return cmsFault("signerInfos", err)
	}
	if err = c.End(); err != nil {
		return cmsFault("SignedData", err)
	}
	if signers.Empty() {
		return d.refuse(FormatCMS, FlawNoSigner, "signerInfos", "empty: nobody signed this")
	}
	for !signers.Empty() {
		if err = d.signerInfo(&signers, e); err != nil {
			return err
		}
	}
	noteCMS(e, version)
	return nil
}

// noteCMS puts down what is unusual about a whole SignedData.
func noteCMS(e *Envelope, version int) {
	want := 1
	if e.ContentType != ContentData {
		want = 3
	}
	for i := range e.Signers {
		s := &e.Signers[i]
		if s.SubjectKeyID != nil {
			want = 3
			e.odd(OddKeyIdentifier)
		}
		if s.CertIndex < 0 {
			e.odd(OddNoSignerCert)
		}
	}
	if version != want {
		e.odd(OddVersion)
	}
	if len(e.Signers) > 1 {
		e.odd(OddSeveralSigners)
	}
	if len(e.Certificates) == 1 && e.Signers[0].CertIndex == 0 && !selfIssued(e.Certificates[0]) {
		e.odd(OddNoChain)
	}
}

// encapsulated reads EncapsulatedContentInfo (RFC 5652 §5.2).
func (d *EnvelopeDecoder) encapsulated(c *der.Cursor, e *Envelope) error {
	encap, err := c.Enter(der.TagSequence)
	if err != nil {
		return cmsFault("encapContentInfo", err)
	}
	eType, err := encap.Read(der.TagOID)
	if err != nil {
		return cmsFault("eContentType", err)
	}
	switch {
	case bytes.Equal(eType.Body, oidVoucher):
		e.ContentType = ContentVoucher
	case bytes.Equal(eType.Body, oidData):
		e.ContentType = ContentData
		e.odd(OddContentData)
	default:
		return refusal(FormatCMS, FlawContentType, "eContentType", fmt.Sprintf("is %s, neither id-ct-animaJSONVoucher (1.2.840.113549.1.9.16.1.40) nor id-data", oidString(eType.Body)))
	}
	if encap.Empty() {
		return refusal(FormatCMS, FlawDetached, "eContent", "absent: a voucher is never detached, sign it with its content inside")
	}
	explicit, err := encap.Enter(der.ContextConstructed)
	if err != nil {
		return cmsFault("eContent", err)
	}
	content, err := explicit.Read(der.TagOctetString)
	if err != nil {
		return cmsFault("eContent", err)
	}
	if err = errors.Join(explicit.End(), encap.End()); err != nil {
		return cmsFault("eContent", err)
	}
	e.Payload = content.Body
	return nil
}

// cmsCertificates reads CertificateSet (RFC 5652 §10.2.3). Choices other than an
// X.509 certificate are passed over.
func (d *EnvelopeDecoder) cmsCertificates(c *der.Cursor, e *Envelope) error {
	bag, err := c.Optional(der.ContextConstructed)
	if err != nil {
		return cmsFault("certificates", err)
	}
	set := der.Cursor{Rest: bag.Body}
	for !set.Empty() {
		choice, err := set.Any()
		if err != nil {
			return cmsFault("certificates", err)
		}
		if choice.Tag != der.TagSequence {
			e.odd(OddOtherCertificates)
			continue
		}
		if err = d.addCertificate(e, choice.Raw); err != nil {
			return err
		}
	}
	return nil
}

// signerInfo reads one SignerInfo (RFC 5652 §5.3).
func (d *EnvelopeDecoder) signerInfo(set *der.Cursor, e *Envelope) error {
	c, err := set.Enter(der.TagSequence)
	if err != nil {
		return cmsFault("signerInfo", err)
	}
	s, err := d.addSigner(e)
	if err != nil {
		return err
	}
	if _, err = c.Read(der.TagInteger); err != nil {
		return cmsFault("signerInfo version", err)
	}
	if err = signerIdentifier(&c, s); err != nil {
		return cmsFault("signer identifier", err)
	}
	if s.DigestOID, s.DigestParams, err = algorithmIdentifier(&c); err != nil {
		return cmsFault("digestAlgorithm", err)
	}
	attrs, err := c.Optional(der.ContextConstructed)
	if err != nil {
		return cmsFault("signedAttrs", err)
	}
	if attrs.Raw == nil {
		if err := d.refuse(FormatCMS, FlawNoAttributes, "signedAttrs", "absent: a signature over bare content could be passed off as one over attributes; sign with contentType and messageDigest"); err != nil {
			return err
		}
	} else if err = d.signedAttributes(attrs, e, s); err != nil {
		return err
	}
	if s.SignatureOID, s.SignatureParams, err = algorithmIdentifier(&c); err != nil {
		return cmsFault("signatureAlgorithm", err)
	}
	signature, err := c.Read(der.TagOctetString)
	if err != nil {
		return cmsFault("signature", err)
	}
	unsigned, err := c.Optional(der.ContextConstructed | 1)
	if err != nil {
		return cmsFault("unsignedAttrs", err)
	}
	if unsigned.Raw != nil {
		e.odd(OddUnsignedAttrs)
	}
	if err = c.End(); err != nil {
		return cmsFault("signerInfo", err)
	}
	return d.cmsSignature(signature.Body, d.findSigner(e, s), s)
}

func signerIdentifier(c *der.Cursor, s *EnvelopeSigner) error {
	if c.Peek() == der.ContextPrimitive {
		id, err := c.Any()
		s.SubjectKeyID = id.Body
		return err
	}
	sid, err := c.Enter(der.TagSequence)
	if err != nil {
		return err
	}
	issuer, err := sid.Read(der.TagSequence)
	if err != nil {
		return err
	}
	serial, err := sid.Read(der.TagInteger)
	if err != nil {
		return err
	}
	s.IssuerDER, s.SerialDER = issuer.Raw, serial.Body
	return sid.End()
}

func algorithmIdentifier(c *der.Cursor) (oid, params []byte, err error) {
	id, err := c.Enter(der.TagSequence)
	if err != nil {
		return nil, nil, err
	}
	name, err := id.Read(der.TagOID)
	if err != nil {
		return nil, nil, err
	}
	if id.Empty() {
		return name.Body, nil, nil
	}
	p, err := id.Any()
	if err != nil {
		return nil, nil, err
	}
	return name.Body, p.Raw, id.End()
}

// signedAttributes reads SignedAttributes and keeps them as they were signed:
// with the tag of a SET OF (RFC 5652 §5.4).
func (d *EnvelopeDecoder) signedAttributes(attrs der.Element, e *Envelope, s *EnvelopeSigner) error {
	start := len(d.arena)
	d.arena = append(d.arena, attrs.Raw...)
	d.arena[start] = der.TagSet
	s.Signed = d.arena[start:len(d.arena):len(d.arena)]

	var seen [maxAttributes][]byte
	var typed bool
	n := 0
	for set := (der.Cursor{Rest: attrs.Body}); !set.Empty(); n++ {
		if n == maxAttributes {
			return refusal(FormatCMS, FlawAttribute, "signedAttrs", fmt.Sprintf("more than %d attributes", maxAttributes))
		}
		oid, values, err := cmsReadAttribute(&set)
		if err != nil {
			return cmsFault("signedAttrs", err)
		}
		for _, other := range seen[:n] {
			if bytes.Equal(other, oid) {
				return refusal(FormatCMS, FlawDuplicate, "signedAttrs", fmt.Sprintf("attribute %s twice", oidString(oid)))
			}
		}
		seen[n] = oid
		if bytes.Equal(oid, oidContentType) {
			typed = true
		}
		if err = d.knownAttribute(oid, values, e, s); err != nil {
			return err
		}
	}
	if !der.SortedSet(attrs.Body) {
		e.odd(OddAttributeOrder)
	}
	if !typed {
		return d.refuse(FormatCMS, FlawAttribute, "signedAttrs", "contentType is missing")
	}
	if s.ContentDigest == nil {
		return d.refuse(FormatCMS, FlawAttribute, "signedAttrs", "messageDigest is missing")
	}
	return nil
}

func cmsReadAttribute(set *der.Cursor) (oid []byte, values der.Cursor, err error) {
	c, err := set.Enter(der.TagSequence)
	if err != nil {
		return nil, values, err
	}
	id, err := c.Read(der.TagOID)
	if err != nil {
		return nil, values, err
	}
	if values, err = c.Enter(der.TagSet); err != nil {
		return nil, values, err
	}
	return id.Body, values, c.End()
}

// knownAttribute reads the attributes that vouchers use, each of which has one
// value (RFC 5652 §11). Others are signed and mean nothing here.
func (d *EnvelopeDecoder) knownAttribute(oid []byte, values der.Cursor, e *Envelope, s *EnvelopeSigner) error {
	isType := bytes.Equal(oid, oidContentType)
	isDigest := bytes.Equal(oid, oidMessageDigest)
	if !isType && !isDigest && !bytes.Equal(oid, oidSigningTime) {
		return nil
	}
	value, err := values.Any()
	if err != nil {
		return cmsFault("attribute "+oidString(oid), err)
	}
	if values.End() != nil {
		return refusal(FormatCMS, FlawAttribute, "attribute "+oidString(oid), "has several values where one is allowed")
	}
	switch {
	case isType:
		want := oidVoucher
		if e.ContentType == ContentData {
			want = oidData
		}
		if value.Tag != der.TagOID || !bytes.Equal(value.Body, want) {
			return d.refuse(FormatCMS, FlawAttribute, "contentType attribute", "does not equal eContentType")
		}
	case isDigest:
		if value.Tag != der.TagOctetString || len(value.Body) == 0 {
			return d.refuse(FormatCMS, FlawAttribute, "messageDigest attribute", "is not an OCTET STRING of some length")
		}
		s.ContentDigest = value.Body
	default:
		if s.SigningTime, err = parseCMSTime(value); err != nil {
			return d.refuse(FormatCMS, FlawAttribute, "signingTime attribute", "is not a time in UTC with seconds")
		}
	}
	return nil
}
