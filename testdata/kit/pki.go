package kit

import (
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"
)

// identity is a key with its certificate and the chain above that.
type identity struct {
	alg   *algorithm
	key   crypto.Signer
	cert  *x509.Certificate
	chain [][]byte // DER, its own first, the root last
}

func (id *identity) spki() []byte { return id.cert.RawSubjectPublicKeyInfo }

// pki is everybody who appears in the kit.
type pki struct {
	manufacturer, middle, rogueCA, owner, vendor             *identity
	masa, masa384, masa512, masaEd, masaRSA                  *identity
	deep, expired, future, critical, underLeaf, rogue, noUse *identity
	registrar, pledge                                        *identity
}

var (
	longAgo  = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	farAhead = time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)
	// endOfTime is how RFC 5280 §4.1.2.5 writes that something never expires.
	endOfTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

func subject(cn string) pkix.Name {
	return pkix.Name{Country: []string{"FI"}, Organization: []string{"Example"}, CommonName: cn}
}

// issue makes a certificate; by nil means self-signed. change may be nil.
func issue(alg *algorithm, name, cn string, by *identity, change func(*x509.Certificate)) (*identity, error) {
	key, err := newKey(alg, name)
	if err != nil {
		return nil, err
	}
	serial := stream("serial of "+name, 8)
	serial[0] = serial[0]&0x7f | 0x40
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki)
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: subject(cn),
		NotBefore: longAgo, NotAfter: farAhead,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: id[:20],
	}
	if change != nil {
		change(t)
	}
	parent, signer := t, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(nil, t, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	made := &identity{alg: alg, key: key, cert: cert, chain: [][]byte{der}}
	if by != nil {
		made.chain = append(made.chain, by.chain...)
	}
	return made, nil
}

func authority(t *x509.Certificate) {
	t.IsCA, t.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
}

// unknownExtension is critical and means nothing to anybody: 1.3.6.1.4.1.32473 is
// the arc for examples (RFC 5612).
var unknownExtension = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}, Critical: true, Value: null}

func newPKI() (*pki, error) {
	p := &pki{}
	const masa = "Example MASA"
	for _, c := range []struct {
		id       **identity
		alg      *algorithm
		name, cn string
		by       **identity
		change   func(*x509.Certificate)
	}{
		{&p.manufacturer, es256, "manufacturer", "Example Manufacturer CA", nil, authority},
		{&p.middle, es256, "middle", "Example Manufacturer Signing CA", &p.manufacturer, authority},
		{&p.rogueCA, es256, "rogue CA", "Example Manufacturer CA", nil, authority},
		{&p.owner, es256, "owner", "Example Owner CA", nil, authority},
		{&p.vendor, es256, "vendor", "Example Device CA", nil, authority},
		{&p.masa, es256, "masa", masa, &p.manufacturer, nil},
		{&p.masa384, es384, "masa ES384", masa + " ES384", &p.manufacturer, nil},
		{&p.masa512, es512, "masa ES512", masa + " ES512", &p.manufacturer, nil},
		{&p.masaEd, eddsa, "masa Ed25519", masa + " Ed25519", &p.manufacturer, nil},
		{&p.masaRSA, rs256, "masa RS256", masa + " RS256", &p.manufacturer, nil},
		{&p.deep, es256, "masa below", masa + " below", &p.middle, nil},
		{&p.expired, es256, "masa expired", masa + " of old", &p.manufacturer, func(t *x509.Certificate) { t.NotAfter = longAgo.AddDate(1, 0, 0) }},
		{&p.future, es256, "masa to come", masa + " to come", &p.manufacturer, func(t *x509.Certificate) { t.NotBefore = farAhead.AddDate(-1, 0, 0) }},
		{&p.critical, es256, "masa critical", masa + " critical", &p.manufacturer, func(t *x509.Certificate) { t.ExtraExtensions = []pkix.Extension{unknownExtension} }},
		{&p.underLeaf, es256, "masa under a leaf", masa + " under a leaf", &p.masa, nil},
		{&p.rogue, es256, "rogue masa", masa, &p.rogueCA, nil},
		{&p.noUse, es256, "masa for agreement", masa + " for key agreement", &p.manufacturer, func(t *x509.Certificate) { t.KeyUsage = x509.KeyUsageKeyAgreement }},
		{&p.registrar, es256, "registrar", "Example Registrar", &p.owner, func(t *x509.Certificate) {
			t.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 28}} // id-kp-cmcRA
		}},
		{&p.pledge, es256, "pledge", "", &p.vendor, func(t *x509.Certificate) {
			t.Subject = pkix.Name{Organization: []string{"Example"}, SerialNumber: serial}
		}},
	} {
		var by *identity
		if c.by != nil {
			by = *c.by
		}
		made, err := issue(c.alg, c.name, c.cn, by, c.change)
		if err != nil {
			return nil, err
		}
		*c.id = made
	}
	return p, nil
}

// issuerOf is the idevid-issuer for devices of a certificate authority.
func issuerOf(ca *identity) []byte {
	return issuerOfKey(ca.cert.SubjectKeyId)
}

func issuerOfKey(keyID []byte) []byte { return octetString(sequence(tlv(tagImplicit0, keyID))) }

// keyIDOf is the SHA-1 of a certificate's key, which stands for an issuer where
// a certificate has no authority key identifier (RFC 5280 §4.2.1.2, method 1).
func keyIDOf(der []byte) []byte {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err) // the certificates are the kit's own
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &spki); err != nil {
		panic(err)
	}
	sum := sha1.Sum(spki.Key.Bytes)
	return sum[:]
}

func chainPEM(chain ...[]byte) []byte {
	var text []byte
	for _, der := range chain {
		text = append(text, pemBlock("CERTIFICATE", der)...)
	}
	return text
}

// certificates adds trust anchors, helpers and chains.
func (b *builder) certificates() {
	p := b.pki
	c := func(name, about string, n int) Case {
		return Case{File: "certs/" + name + ".pem", Kind: KindChain, About: about, Certificates: n}
	}
	b.good(chainPEM(p.manufacturer.chain...), c("manufacturer-ca", "the trust anchor of all vouchers", 1))
	b.good(chainPEM(p.owner.chain...), c("owner-ca", "the certificate that vouchers pin", 1))
	b.good(chainPEM(p.vendor.chain...), c("device-ca", "issuer of the IDevIDs", 1))
	b.good(chainPEM(p.masa.chain...), c("masa", "signer of most vouchers, with its CA", 2))
	b.good(chainPEM(p.deep.chain...), c("masa-below", "a chain of three", 3))
	b.good(append([]byte("Notes before the first block.\n"), chainPEM(p.masa.chain...)...), c("text-around", "text beside the blocks", 2))
	b.bad(chainPEM(p.masa.chain[1], p.masa.chain[0]), "chain", "", c("bad-order", "the CA before the signer", 0))
	b.bad(chainPEM(p.masa.chain[0], p.rogueCA.chain[0]), "chain", "", c("bad-issuer", "an issuer of the right name with another key", 0))
	b.bad(chainPEM(p.underLeaf.chain...), "chain", "", c("bad-not-ca", "an issuer that may not issue", 0))
	b.bad(chainPEM(p.masa.chain[0][:200]), "chain", "", c("bad-truncated", "a certificate cut off", 0))
	b.bad([]byte("no certificate\n"), "chain", "", c("bad-none", "no block at all", 0))
	var many [][]byte
	for range 17 {
		many = append(many, p.manufacturer.chain[0])
	}
	b.bad(chainPEM(many...), "chain", "", c("bad-seventeen", "more certificates than the limit of 16", 0))
}
