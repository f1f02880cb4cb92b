package kit

import (
	"bytes"
	"crypto"
	"slices"
)

// Object identifiers of RFC 2985, RFC 5480 and RFC 9908.
var (
	oidSerialNumber = oid(2, 5, 4, 5)
	oidOrganization = oid(2, 5, 4, 10)
	oidChallenge    = oid(1, 2, 840, 113549, 1, 9, 7)
	oidTemplate     = oid(1, 2, 840, 113549, 1, 9, 16, 2, 61)
	oidECPublicKey  = oid(1, 2, 840, 10045, 2, 1)
	oidP256         = oid(1, 2, 840, 10045, 3, 1, 7)
	oidP384         = oid(1, 3, 132, 0, 34)
)

const (
	tagUTF8String      = 0x0c
	tagPrintableString = 0x13
	tagBitString       = 0x03
)

// rdn is a relative distinguished name of one attribute.
func rdn(id []byte, value []byte) []byte { return tlv(tagSet, sequence(id, value)) }

// estCases adds the messages of EST (RFC 7030, RFC 8951, RFC 9908), as they are
// before base64.
func (b *builder) estCases() error {
	if err := b.certificateRequests(); err != nil {
		return err
	}
	b.csrAttributes()
	b.certsOnly()
	return nil
}

// certificateRequest is a PKCS#10 request (RFC 2986 §4).
func certificateRequest(key crypto.Signer, spki, subject []byte, attributes ...[]byte) []byte {
	info := sequence(integer(0), subject, spki, tlv(tagExplicit0, attributes...))
	return sequence(info, es256.signature, tlv(tagBitString, []byte{0}, es256.derSignature(key, info)))
}

func (b *builder) certificateRequests() error {
	device, err := issue(es256, "LDevID", "", nil, nil)
	if err != nil {
		return err
	}
	c := func(name, about string) Case {
		return Case{File: "est/" + name + ".p10", Kind: KindCSR, About: about, Algorithm: es256.name}
	}
	subject := sequence(rdn(oidSerialNumber, tlv(tagPrintableString, []byte(serial))))
	plain := certificateRequest(device.key, device.spki(), subject)
	b.good(plain, c("good-request", "what a device asks of a registrar without demands"))
	challenge := attribute(oidChallenge, tlv(tagPrintableString, []byte(b64(stream("tls-unique", 12)))))
	b.good(certificateRequest(device.key, device.spki(), subject, challenge), c("good-request-challenge", "with a challengePassword, which binds it to a connection"))
	b.bad(bytes.Replace(plain, []byte(serial), []byte("JADA999999999"), 1), "signature", "", c("bad-request-altered", "another serial number than was signed"))
	b.bad(plain[:len(plain)-1], "request", "", c("bad-request-truncated", "the last octet is missing"))
	return nil
}

func (b *builder) csrAttributes() {
	c := func(name, about string) Case {
		return Case{File: "est/" + name + ".der", Kind: KindCSRAttrs, About: about}
	}
	open := tlv(tagSet, sequence(oidSerialNumber)) // its value is the client's
	template := func(parts ...[]byte) []byte {
		return attribute(oidTemplate, sequence(append([][]byte{integer(0)}, parts...)...))
	}
	none := tlv(tagExplicit1)
	b.good(sequence(template(sequence(open), none), oidSerialNumber), c("good-csrattrs", "what a registrar without demands answers: a template, and a list for those that know none"))
	fixed := sequence(rdn(oidOrganization, tlv(tagUTF8String, []byte("Example"))), open)
	b.good(sequence(template(fixed, tlv(tagExplicit0, sequence(oidECPublicKey, oidP256)), none)), c("good-csrattrs-template", "a template alone: organization Example, a serialNumber, a key on P-256"))
	b.good(sequence(oidChallenge, attribute(oidECPublicKey, oidP384), oidSerialNumber, oid(1, 2, 840, 10045, 4, 3, 3)), c("good-csrattrs-list", "a list alone: a challengePassword, a key on P-384, a serialNumber, ecdsa-with-SHA384"))
	b.good(sequence(), c("good-csrattrs-empty", "no demands"))
	b.bad(append(sequence(oidSerialNumber), 0), "csrattrs", "", c("bad-csrattrs-trailing", "an octet too many"))
}

// certsOnly adds SignedData without content and signers (RFC 7030 §4.1.3).
func (b *builder) certsOnly() {
	p := b.pki
	c := func(name, about string, n int) Case {
		return Case{File: "est/" + name + ".p7", Kind: KindCertsOnly, About: about, Certificates: n}
	}
	message := func(certs ...[]byte) []byte {
		bag := slices.Clone(certs)
		slices.SortFunc(bag, bytes.Compare) // a SET OF in DER
		var bags []byte
		if certs != nil {
			bags = tlv(tagExplicit0, bag...)
		}
		return sequence(oidSignedData, tlv(tagExplicit0, sequence(integer(1), tlv(tagSet), sequence(oidData), bags, tlv(tagSet))))
	}
	b.good(message(p.owner.chain[0]), c("good-cacerts", "the CA of a domain", 1))
	b.good(message(p.registrar.chain...), c("good-certs-two", "two certificates", 2))
	b.bad(message(), "certs-only", "", c("bad-certs-none", "no certificates", 0))
	b.bad(message(p.owner.chain[0])[:300], "certs-only", "", c("bad-certs-truncated", "cut off within the certificate", 0))
}
