package est

import (
	"bytes"
	"cmp"
	"errors"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// certsDepth bounds the nesting of BER that is brought into DER; certificates
// with policies and name constraints stay below it.
const certsDepth = 24

// ParseCertsOnly returns the certificates of a certs-only message, a degenerate
// CMS SignedData (RFC 5652 §5.1, RFC 7030 §4.1.3), in the order they are found,
// which means nothing: the caller finds an issued certificate by its key. Each
// has the outline of a certificate; nothing is verified. Choices other than an
// X.509 certificate, and CRLs, are passed over. What is signed, or has content,
// is refused.
//
// BER is accepted, which openssl and others may send. The certificates are views
// into input that is DER, else into a copy. The error is a *DecodeError or a
// *codec.LimitError.
func ParseCertsOnly(message []byte, lim Limits) ([][]byte, error) {
	lim = lim.withDefaults()
	if err := within("CertsBytes", lim.CertsBytes, len(message)); err != nil {
		return nil, err
	}
	certs, err := parseCertsOnly(message, lim.Certificates)
	if !errors.Is(err, der.ErrNotDER) {
		return certs, err
	}
	message, err = der.Normalize(make([]byte, 0, len(message)), message, certsDepth)
	if err != nil {
		return nil, fault(objCerts, "", err)
	}
	return parseCertsOnly(message, lim.Certificates)
}

func parseCertsOnly(message []byte, most int) ([][]byte, error) {
	signed, err := openSignedData(message)
	if err != nil {
		return nil, err
	}
	if err = noContent(&signed); err != nil {
		return nil, err
	}
	bag, err := signed.Optional(der.ContextConstructed)
	if err != nil {
		return nil, fault(objCerts, "certificates", err)
	}
	if _, err = signed.Optional(der.ContextConstructed | 1); err != nil {
		return nil, fault(objCerts, "crls", err)
	}
	signers, err := signed.Enter(der.TagSet)
	if err == nil {
		err = signed.End()
	}
	if err != nil {
		return nil, fault(objCerts, "signerInfos", err)
	}
	if !signers.Empty() {
		return nil, problem(objCerts, "signerInfos", "not empty: this is a signed message, not certs-only")
	}
	return readCertificates(bag.Body, most)
}

// openSignedData reads ContentInfo and the beginning of SignedData. The version
// is not judged: nothing here depends on it.
func openSignedData(message []byte) (der.Cursor, error) {
	outer := der.Cursor{Rest: message}
	info, err := outer.Enter(der.TagSequence)
	if err == nil {
		err = outer.End()
	}
	if err != nil {
		return der.Cursor{}, fault(objCerts, "ContentInfo", err)
	}
	_, kind, err := readOID(&info)
	if err != nil {
		return der.Cursor{}, fault(objCerts, "contentType", err)
	}
	if kind != oidSignedData {
		return der.Cursor{}, problem(objCerts, "contentType", "is "+kind+", not signedData ("+oidSignedData+")")
	}
	explicit, err := info.Enter(der.ContextConstructed)
	if err != nil {
		return der.Cursor{}, fault(objCerts, "content", err)
	}
	signed, err := explicit.Enter(der.TagSequence)
	if err = cmp.Or(err, explicit.End(), info.End()); err != nil {
		return der.Cursor{}, fault(objCerts, "SignedData", err)
	}
	version, err := signed.Read(der.TagInteger)
	if err == nil {
		_, err = der.SmallInteger(version.Body)
	}
	if err != nil {
		return der.Cursor{}, fault(objCerts, "version", err)
	}
	if _, err = signed.Read(der.TagSet); err != nil {
		return der.Cursor{}, fault(objCerts, "digestAlgorithms", err)
	}
	return signed, nil
}

// noContent reads encapContentInfo, which is id-data without content (RFC 5652
// §5.2); an empty content is met too.
func noContent(signed *der.Cursor) error {
	encap, err := signed.Enter(der.TagSequence)
	if err != nil {
		return fault(objCerts, "encapContentInfo", err)
	}
	_, kind, err := readOID(&encap)
	if err != nil {
		return fault(objCerts, "eContentType", err)
	}
	if kind != oidData {
		return problem(objCerts, "eContentType", "is "+kind+", not id-data ("+oidData+")")
	}
	if encap.Empty() {
		return nil
	}
	explicit, err := encap.Enter(der.ContextConstructed)
	if err != nil {
		return fault(objCerts, "eContent", err)
	}
	content, err := explicit.Read(der.TagOctetString)
	if err = cmp.Or(err, explicit.End(), encap.End()); err != nil {
		return fault(objCerts, "eContent", err)
	}
	if len(content.Body) != 0 {
		return problem(objCerts, "eContent", "is there: this is a message with content, not certs-only")
	}
	return nil
}

func readCertificates(bag []byte, most int) ([][]byte, error) {
	var certs [][]byte
	for set := (der.Cursor{Rest: bag}); !set.Empty(); {
		choice, err := set.Any()
		if err != nil {
			return nil, fault(objCerts, "certificates", err)
		}
		if choice.Tag != der.TagSequence {
			continue
		}
		if err = within("Certificates", most, len(certs)+1); err != nil {
			return nil, err
		}
		if _, err = der.ParseCertificate(choice.Raw); err != nil {
			return nil, fault(objCerts, "certificates", err)
		}
		certs = append(certs, choice.Raw)
	}
	if len(certs) == 0 {
		return nil, problem(objCerts, "certificates", "there is none")
	}
	return certs, nil
}

// AppendCertsOnly appends the certs-only message of DER certificates, in DER: a
// SignedData of version 1 without content and signers, the certificates in the
// order of a DER SET OF (RFC 5652 §5.1, RFC 7030 §4.1.3 and §4.2.3). With room in
// dst nothing is allocated. The error is an *EncodeError.
func AppendCertsOnly(dst []byte, certs [][]byte) ([]byte, error) {
	if len(certs) == 0 {
		return dst, &EncodeError{objCerts, "certificates", "there is none"}
	}
	start := len(dst)
	dst, _ = appendOID(dst, oidSignedData)
	explicit := len(dst)
	dst = append(dst, der.TagInteger, 1, 1, der.TagSet, 0)
	encap := len(dst)
	dst, _ = appendOID(dst, oidData)
	dst = der.Wrap(dst, encap, der.TagSequence)
	bag := len(dst)
	for i, cert := range certs {
		if _, err := der.ParseCertificate(cert); err != nil {
			return dst[:start], &EncodeError{objCerts, "certificates", "one of them is no DER certificate: " + err.Error()}
		}
		for _, other := range certs[:i] {
			if bytes.Equal(other, cert) {
				return dst[:start], &EncodeError{objCerts, "certificates", "one of them is there twice"}
			}
		}
		dst = append(dst, cert...)
	}
	sortSet(dst[bag:])
	dst = der.Wrap(dst, bag, der.ContextConstructed)
	dst = append(dst, der.TagSet, 0)
	dst = der.Wrap(dst, explicit, der.TagSequence)
	dst = der.Wrap(dst, explicit, der.ContextConstructed)
	return der.Wrap(dst, start, der.TagSequence), nil
}
