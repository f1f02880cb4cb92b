package ca

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/vouchmill/vouchmill/codec"
)

var (
	oidMASAURL      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 32}
	oidHWModuleName = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4}
	oidSAN          = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// IDevIDParams describe the certificate a device leaves its factory with.
type IDevIDParams struct {
	// SerialNumber is the device's, 1 to 64 octets as [codec.CheckSerial] has it:
	// the subject's serialNumber attribute (RFC 8995 §2.3.1).
	SerialNumber string
	// CommonName and Organization are further parts of the subject, 0 to 64
	// characters.
	CommonName, Organization string
	// PublicKey is the device's.
	PublicKey crypto.PublicKey
	// NotBefore is the time of manufacture, cut to whole seconds. The
	// certificate begins no earlier than its authority's.
	NotBefore time.Time
	// NotAfter zero means [NoExpiry], which IEEE 802.1AR recommends.
	NotAfter time.Time
	// MASAURL is the value of id-pe-masa-url (RFC 8995 §2.3.2): HOST, HOST:PORT
	// or an https URI. Empty leaves the extension out; a registrar must then be
	// told.
	MASAURL string
	// HardwareModule, when not nil, becomes a subjectAltName (RFC 4108 §5).
	HardwareModule *codec.HardwareModuleName
}

// IDevID issues an IEEE 802.1AR initial device identifier: the subject holds
// the serial number, the authority key identifier is there, and nothing
// restricts what the key is used for, as RFC 8995 §2.3 recommends: neither
// keyUsage nor extKeyUsage. It is the one certificate that may outlive its
// issuer: it lives as long as the device, and what a verifier makes of an
// authority that has expired is a rule per manufacturer. The error is an
// [*Error], or a [*codec.RuleError] inside one.
func (a *Authority) IDevID(p IDevIDParams) (*x509.Certificate, error) {
	const subject = "IDevID certificate"
	if err := codec.CheckSerial([]byte(p.SerialNumber), maxAttribute); err != nil {
		return nil, &Error{Subject: subject, Kind: ErrName, Err: err}
	}
	name, err := subjectName(subject, p.CommonName, p.Organization, p.SerialNumber)
	if err != nil {
		return nil, err
	}
	if p.NotAfter.IsZero() {
		p.NotAfter = NoExpiry()
	}
	template := &x509.Certificate{RawSubject: name, NotBefore: p.NotBefore, NotAfter: p.NotAfter}
	if p.HardwareModule != nil {
		san, err := hardwareModuleSAN(subject, p.HardwareModule)
		if err != nil {
			return nil, err
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oidSAN, Value: san})
	}
	if p.MASAURL != "" {
		if err := checkMASAURL(subject, p.MASAURL); err != nil {
			return nil, err
		}
		value, err := asn1.MarshalWithParams(p.MASAURL, "ia5")
		if err != nil {
			return nil, &Error{Subject: subject, Kind: ErrName, Err: err}
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oidMASAURL, Value: value})
	}
	return a.issue(subject, template, p.PublicKey, true)
}

// hardwareModuleSAN is a GeneralNames with one otherName, HardwareModuleName
// (RFC 4108 §5).
func hardwareModuleSAN(subject string, m *codec.HardwareModuleName) ([]byte, error) {
	kind, err := x509.ParseOID(m.Type)
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrName, Detail: "the type of the hardware module is an OID in dotted decimals, not " + m.Type, Err: err}
	}
	contents, err := kind.MarshalBinary()
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrName, Err: err}
	}
	if n := len(m.SerialNumber); n == 0 || n > maxAttribute {
		return nil, fail(subject, ErrName, "the serial number of a hardware module has 1 to %d octets, this one %d", maxAttribute, n)
	}
	var b cryptobyte.Builder
	tag0 := cryptoasn1.Tag(0).ContextSpecific().Constructed()
	b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tag0, func(b *cryptobyte.Builder) { // otherName
			b.AddASN1ObjectIdentifier(oidHWModuleName)
			b.AddASN1(tag0, func(b *cryptobyte.Builder) {
				b.AddASN1(cryptoasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cryptoasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(contents) })
					b.AddASN1OctetString(m.SerialNumber)
				})
			})
		})
	})
	return b.Bytes()
}

// LDevIDParams describe the certificate a device gets from its new domain.
// Nothing else that a device asks for can get into it.
type LDevIDParams struct {
	// RawSubject is a DER Name, emitted octet for octet: string types and the
	// order of attributes stay what the device wrote. Up to 8 KiB.
	RawSubject []byte
	// PublicKey is the device's new one. [CheckPossession] gives it;
	// [AcceptableKey] and who holds it already are the caller's to check.
	PublicKey crypto.PublicKey
	// NotBefore and NotAfter are cut to whole seconds and to the validity of the
	// authority. A few minutes before now serves devices whose clock is behind.
	NotBefore, NotAfter time.Time
	// SubjectAltName is the DER GeneralNames that the caller's policy grants,
	// emitted octet for octet; nil for none. Up to 8 KiB.
	SubjectAltName []byte
	// CRLDistributionPoints are http or https URIs of the authority's list.
	CRLDistributionPoints []string
}

// LDevID issues a locally significant device identifier: keyUsage
// digitalSignature, extKeyUsage clientAuth and no other, and never a CA's.
// Without serverAuth and id-kp-cmcRA no device can pass for a registrar. The
// error is an [*Error].
func (a *Authority) LDevID(p LDevIDParams) (*x509.Certificate, error) {
	const subject = "LDevID certificate"
	if err := checkName(subject, p.RawSubject); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		RawSubject: p.RawSubject, NotBefore: p.NotBefore, NotAfter: p.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		CRLDistributionPoints: p.CRLDistributionPoints,
	}
	for _, url := range p.CRLDistributionPoints {
		if err := checkListURL(subject, url); err != nil {
			return nil, err
		}
	}
	if p.SubjectAltName != nil {
		if err := checkGeneralNames(subject, p.SubjectAltName); err != nil {
			return nil, err
		}
		template.ExtraExtensions = []pkix.Extension{{Id: oidSAN, Value: p.SubjectAltName}}
	}
	return a.issue(subject, template, p.PublicKey, false)
}

// checkGeneralNames checks that bytes are one DER GeneralNames with at least
// one name, all of kinds [0] to [8] (RFC 5280 §4.2.1.6).
func checkGeneralNames(subject string, der []byte) error {
	if len(der) > maxName {
		return fail(subject, ErrName, "a subjectAltName of %d octets, the limit is %d", len(der), maxName)
	}
	in := cryptobyte.String(der)
	var names cryptobyte.String
	if !in.ReadASN1(&names, cryptoasn1.SEQUENCE) || !in.Empty() || names.Empty() {
		return fail(subject, ErrName, "the subjectAltName is not a DER GeneralNames with a name in it")
	}
	for !names.Empty() {
		var name cryptobyte.String
		var tag cryptoasn1.Tag
		if !names.ReadAnyASN1(&name, &tag) || tag&0xc0 != 0x80 || tag&0x1f > 8 {
			return fail(subject, ErrName, "the subjectAltName holds something that is no GeneralName")
		}
	}
	return nil
}
