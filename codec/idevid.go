package codec

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// An IDevID holds what an IEEE 802.1AR device certificate states about its
// device, each fact apart: nothing is guessed from another.
type IDevID struct {
	Certificate *x509.Certificate

	SerialNumbers        [][]byte             // values of the subject's serialNumber attributes (2.5.4.5), UTF-8, in order
	CommonNames          [][]byte             // values of the subject's CN attributes, UTF-8, in order
	HardwareModules      []HardwareModuleName // of the subjectAltName, RFC 4108 section 5
	AuthorityKeyID       []byte               // extnValue content of the AKI extension, DER AuthorityKeyIdentifier; nil without the extension
	KeyIdentifier        []byte               // its keyIdentifier; nil when it has none
	MASAURL              string               // RFC 8995 section 2.3.2: an authority or a URI, as written; "" without the extension
	SubjectPublicKey     []byte               // DER SubjectPublicKeyInfo
	PublicKeyBits        []byte               // content of its BIT STRING: what RFC 5280 section 4.2.1.2 method 1 hashes
	NotBefore            time.Time
	NotAfter             time.Time
	NeverExpires         bool // notAfter is 99991231235959Z (RFC 5280 section 4.1.2.5)
	CertificateAuthority bool // basicConstraints says CA: no device certificate
}

// A HardwareModuleName is an id-on-hardwareModuleName otherName.
type HardwareModuleName struct {
	Type         string // hwType, OID in dotted decimals
	SerialNumber []byte // hwSerialNum, octets as they are
}

var (
	oidSerialNumber = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidAKI          = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidSAN          = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidMASAURL      = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 32}
	oidHWModuleName = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4}
)

// ParseIDevID reads the facts of a DER certificate. It checks neither
// signature nor validity nor purpose. Slices of the result are its own or views
// of its Certificate.
func ParseIDevID(der []byte) (*IDevID, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("IDevID certificate: %w", err)
	}
	return ReadIDevID(cert)
}

// ReadIDevID is [ParseIDevID] of a certificate that is parsed already. The result
// refers to it.
func ReadIDevID(cert *x509.Certificate) (*IDevID, error) {
	c := &IDevID{
		Certificate:          cert,
		SubjectPublicKey:     cert.RawSubjectPublicKeyInfo,
		NotBefore:            cert.NotBefore,
		NotAfter:             cert.NotAfter,
		NeverExpires:         cert.NotAfter.Equal(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)),
		CertificateAuthority: cert.IsCA,
	}
	for _, attr := range cert.Subject.Names {
		value, ok := attr.Value.(string)
		if !ok {
			continue
		}
		switch {
		case attr.Type.Equal(oidSerialNumber):
			c.SerialNumbers = append(c.SerialNumbers, []byte(value))
		case attr.Type.Equal(oidCommonName):
			c.CommonNames = append(c.CommonNames, []byte(value))
		}
	}
	var err error
	if c.PublicKeyBits, err = publicKeyBits(cert.RawSubjectPublicKeyInfo); err != nil {
		return nil, err
	}
	for _, ext := range cert.Extensions {
		if err := c.addExtension(ext.Id, ext.Value); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *IDevID) addExtension(oid asn1.ObjectIdentifier, value []byte) (err error) {
	switch {
	case oid.Equal(oidAKI):
		c.AuthorityKeyID = value
		c.KeyIdentifier, err = parseAuthorityKeyID(value)
	case oid.Equal(oidSAN):
		c.HardwareModules, err = parseHardwareModules(value)
	case oid.Equal(oidMASAURL):
		c.MASAURL, err = parseMASAURL(value)
	}
	return err
}

func publicKeyBits(spki []byte) ([]byte, error) {
	in := cryptobyte.String(spki)
	var seq cryptobyte.String
	var bits asn1.BitString
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !seq.SkipASN1(casn1.SEQUENCE) || !seq.ReadASN1BitString(&bits) {
		return nil, fmt.Errorf("IDevID certificate: malformed SubjectPublicKeyInfo")
	}
	return bits.Bytes, nil
}

// parseMASAURL reads id-pe-masa-url: an IA5String; UTF8String is met too.
func parseMASAURL(value []byte) (string, error) {
	in := cryptobyte.String(value)
	var text cryptobyte.String
	var tag casn1.Tag
	if !in.ReadAnyASN1(&text, &tag) || !in.Empty() || tag != casn1.IA5String && tag != casn1.UTF8String {
		return "", fmt.Errorf("IDevID certificate: the MASA URL extension is not an IA5String")
	}
	for _, b := range text {
		if b <= 0x20 || b >= 0x7f {
			return "", fmt.Errorf("IDevID certificate: the MASA URL holds an octet that no URL has: %q", string(text))
		}
	}
	return string(text), nil
}

// parseHardwareModules finds hardwareModuleNames among a subjectAltName's
// names; other kinds, and vendors' own otherNames, are passed over.
func parseHardwareModules(san []byte) ([]HardwareModuleName, error) {
	in := cryptobyte.String(san)
	var names cryptobyte.String
	if !in.ReadASN1(&names, casn1.SEQUENCE) {
		return nil, fmt.Errorf("IDevID certificate: malformed subjectAltName")
	}
	var modules []HardwareModuleName
	for !names.Empty() {
		var name cryptobyte.String
		var tag casn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return nil, fmt.Errorf("IDevID certificate: malformed subjectAltName")
		}
		var kind asn1.ObjectIdentifier
		if tag != casn1.Tag(0).ContextSpecific().Constructed() || !name.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidHWModuleName) {
			continue
		}
		var value, seq, serial cryptobyte.String
		var hwType asn1.ObjectIdentifier
		if !name.ReadASN1(&value, casn1.Tag(0).ContextSpecific().Constructed()) || !value.ReadASN1(&seq, casn1.SEQUENCE) ||
			!seq.ReadASN1ObjectIdentifier(&hwType) || !seq.ReadASN1(&serial, casn1.OCTET_STRING) || !seq.Empty() {
			return nil, fmt.Errorf("IDevID certificate: malformed hardwareModuleName (RFC 4108 section 5)")
		}
		modules = append(modules, HardwareModuleName{hwType.String(), serial})
	}
	return modules, nil
}

// A SerialSource is the fact that gives a device its serial number.
type SerialSource uint8

// The sources. Only the first is what BRSKI defines (RFC 8995 section 2.3.1);
// the others serve manufacturers whose certificates lack it.
const (
	SerialFromSubject      SerialSource = iota // serialNumber attribute of the subject
	SerialFromHWModuleName                     // hwSerialNum of hardwareModuleName
	SerialFromCommonName                       // CN attribute of the subject
)

var serialSources = [...]string{"subject", "hw-module-name", "cn"}

// ParseSerialSource maps "subject", "hw-module-name" and "cn" to their source.
func ParseSerialSource(s string) (SerialSource, error) {
	for i, name := range serialSources {
		if name == s {
			return SerialSource(i), nil
		}
	}
	return 0, fmt.Errorf("unknown serial number source %q: want subject, hw-module-name or cn", s)
}

// String returns the name ParseSerialSource reads.
func (s SerialSource) String() string {
	if int(s) < len(serialSources) {
		return serialSources[s]
	}
	return "invalid"
}

// A SerialError is a certificate that does not state exactly one serial number
// where it was looked for.
type SerialError struct {
	Source SerialSource
	Found  [][]byte // the values found there, none or several
	IDevID *IDevID  // the facts it was looked for in
}

// Error says what the certificate has instead of the one serial number.
func (e *SerialError) Error() string {
	var where = [...]string{"serialNumber attributes in the subject", "hardwareModuleNames in the subjectAltName", "CN attributes in the subject"}[e.Source]
	if len(e.Found) > 1 {
		return fmt.Sprintf("IDevID certificate has %d %s (%q), exactly one is needed", len(e.Found), where, e.Found)
	}
	return fmt.Sprintf("IDevID certificate has no %s; it has serialNumber %q, CN %q, hardwareModuleName %q: name another source if one of them is the serial number",
		where, e.IDevID.SerialNumbers, e.IDevID.CommonNames, e.IDevID.hardwareSerials())
}

// Serial returns the device's serial number from the given source, verbatim.
// The error is a *SerialError unless there is exactly one. The value is not
// checked: see CheckSerial.
func (c *IDevID) Serial(src SerialSource) ([]byte, error) {
	var found [][]byte
	switch src {
	case SerialFromSubject:
		found = c.SerialNumbers
	case SerialFromHWModuleName:
		found = c.hardwareSerials()
	case SerialFromCommonName:
		found = c.CommonNames
	default:
		return nil, fmt.Errorf("serial number source %d is not defined", src)
	}
	if len(found) != 1 {
		return nil, &SerialError{src, found, c}
	}
	return found[0], nil
}

func (c *IDevID) hardwareSerials() [][]byte {
	var serials [][]byte
	for _, m := range c.HardwareModules {
		serials = append(serials, m.SerialNumber)
	}
	return serials
}

// Issuer returns the idevid-issuer for this certificate: the extnValue of its
// AKI extension, OCTET STRING header included (draft-ietf-anima-rfc8366bis).
// It is nil when the certificate has no AKI; then IssuerFromKeyID of the SHA-1
// of PublicKeyBits is what a registrar writes.
func (c *IDevID) Issuer() []byte {
	if c.AuthorityKeyID == nil {
		return nil
	}
	return wrapOctets(c.AuthorityKeyID)
}
