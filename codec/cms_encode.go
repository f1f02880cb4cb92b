package codec

import (
	"errors"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// Object identifiers of RFC 5652 and RFC 8366 §8.4, value octets.
var (
	oidSignedData    = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}
	oidData          = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01}
	oidVoucher       = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x28}
	oidContentType   = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03}
	oidMessageDigest = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04}
	oidSigningTime   = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05}
)

// cmsFrame is a SignedData with one signer. Only five lengths and three values
// vary with the voucher; all else stands here encoded.
//
// The certificates are written signer first, then its issuers, although DER
// sorts a SET OF. RFC 5652 §5.1 allows BER there (only the signed attributes
// must be DER), every verifier takes the set in any order, and a reader of the
// first certificate finds the signer.
type cmsFrame struct {
	algorithm AlgorithmID
	opening   []byte // contentType of ContentInfo
	preamble  []byte // version, digestAlgorithms
	eType     []byte // eContentType
	certs     []byte // certificates, whole element
	signer    []byte // of SignerInfo: version to messageDigest's header
	sigAlg    []byte // signatureAlgorithm
	attrs     []byte // what is signed, up to the content digest
}

func newCMSFrame(p *EnvelopeParams) (*cmsFrame, error) {
	alg := p.Algorithm
	if len(alg.SignatureOID) == 0 || len(alg.DigestOID) == 0 || alg.DigestSize <= 0 {
		return nil, errors.New("the algorithm has no CMS identifiers: take one that has, or another format")
	}
	for _, id := range [][]byte{alg.SignatureOID, alg.DigestOID} {
		if e, rest, err := der.Next(id); err != nil || e.Tag != der.TagSequence || len(rest) != 0 {
			return nil, fmt.Errorf("algorithm identifier %x is not one DER AlgorithmIdentifier", id)
		}
	}
	if len(p.Chain) == 0 {
		return nil, errors.New("CMS names its signer by a certificate: give the signing chain, signer first")
	}
	leaf, err := der.ParseCertificate(p.Chain[0])
	if err != nil {
		return nil, err
	}
	eType, version := oidVoucher, byte(3)
	if p.DataContentType {
		eType, version = oidData, 1
	}
	f := &cmsFrame{
		algorithm: alg,
		opening:   der.Append(nil, der.TagOID, oidSignedData),
		preamble:  []byte{der.TagInteger, 1, version},
		eType:     der.Append(nil, der.TagOID, eType),
		sigAlg:    alg.SignatureOID,
	}
	f.preamble = der.Append(f.preamble, der.TagSet, alg.DigestOID)
	var bag []byte
	for _, cert := range p.Chain {
		bag = append(bag, cert...)
	}
	f.certs = der.Append(nil, der.ContextConstructed, bag)
	body, err := cmsAttributes(eType, p.SigningTime, alg.DigestSize)
	if err != nil {
		return nil, err
	}
	n := len(body) + alg.DigestSize
	f.attrs = append(der.AppendHeader(nil, der.TagSet, n), body...)

	sid := append(append([]byte{}, leaf.Issuer...), der.Append(nil, der.TagInteger, leaf.Serial)...)
	f.signer = der.Append([]byte{der.TagInteger, 1, 1}, der.TagSequence, sid)
	f.signer = append(f.signer, alg.DigestOID...)
	f.signer = der.AppendHeader(f.signer, der.ContextConstructed, n)
	f.signer = append(f.signer, body...)
	return f, nil
}

// cmsAttributes returns the value of the signed attributes up to the content
// digest. Their DER order is by length here, and messageDigest is the longest:
// so all that varies between vouchers stands at the end.
func cmsAttributes(eType []byte, signingTime time.Time, digestSize int) ([]byte, error) {
	body := cmsAttribute(nil, oidContentType, der.Append(nil, der.TagOID, eType))
	if !signingTime.IsZero() {
		value, err := cmsTime(signingTime)
		if err != nil {
			return nil, err
		}
		body = cmsAttribute(body, oidSigningTime, value)
	}
	// The digest itself is left out, its octets are counted.
	digest := der.AppendHeader(nil, der.TagOctetString, digestSize)
	set := len(digest) + digestSize
	id := der.Append(nil, der.TagOID, oidMessageDigest)
	body = der.AppendHeader(body, der.TagSequence, len(id)+der.Size(set))
	body = append(body, id...)
	body = der.AppendHeader(body, der.TagSet, set)
	return append(body, digest...), nil
}

func cmsAttribute(dst, oid, value []byte) []byte {
	id := der.Append(nil, der.TagOID, oid)
	set := der.Append(nil, der.TagSet, value)
	return der.Append(dst, der.TagSequence, append(id, set...))
}

// cmsTime encodes a Time as RFC 5652 §11.3 asks: UTCTime from 1950 to 2049,
// GeneralizedTime outside, both in whole seconds of UTC.
func cmsTime(t time.Time) ([]byte, error) {
	t = t.UTC()
	switch y := t.Year(); {
	case y >= 1950 && y < 2050:
		return der.Append(nil, der.TagUTCTime, t.AppendFormat(nil, "060102150405Z")), nil
	case y >= 0 && y <= 9999:
		return der.Append(nil, der.TagGeneralizedTime, t.AppendFormat(nil, "20060102150405Z")), nil
	default:
		return nil, fmt.Errorf("signing time in year %d cannot be written in CMS", y)
	}
}

func (f *cmsFrame) appendSignedHead(dst []byte, _ int) []byte { return dst }

func (f *cmsFrame) attributesPrefix() []byte { return f.attrs }

func (f *cmsFrame) signatureSize(raw []byte) int {
	if f.algorithm.ECDSA {
		return der.ECDSASize(raw)
	}
	return len(raw)
}

func (f *cmsFrame) signerSize(signature int) int {
	return len(f.signer) + f.algorithm.DigestSize + len(f.sigAlg) + der.Size(signature)
}

func (f *cmsFrame) appendHead(dst []byte, n int, signature []byte) []byte {
	explicit := der.Size(n)
	encap := len(f.eType) + der.Size(explicit)
	signers := der.Size(f.signerSize(f.signatureSize(signature)))
	signed := len(f.preamble) + der.Size(encap) + len(f.certs) + der.Size(signers)

	dst = der.AppendHeader(dst, der.TagSequence, len(f.opening)+der.Size(der.Size(signed)))
	dst = append(dst, f.opening...)
	dst = der.AppendHeader(dst, der.ContextConstructed, der.Size(signed))
	dst = der.AppendHeader(dst, der.TagSequence, signed)
	dst = append(dst, f.preamble...)
	dst = der.AppendHeader(dst, der.TagSequence, encap)
	dst = append(dst, f.eType...)
	dst = der.AppendHeader(dst, der.ContextConstructed, explicit)
	return der.AppendHeader(dst, der.TagOctetString, n)
}

func (f *cmsFrame) appendFoot(dst, contentDigest, signature []byte) []byte {
	size := f.signatureSize(signature)
	signer := f.signerSize(size)
	dst = append(dst, f.certs...)
	dst = der.AppendHeader(dst, der.TagSet, der.Size(signer))
	dst = der.AppendHeader(dst, der.TagSequence, signer)
	dst = append(dst, f.signer...)
	dst = append(dst, contentDigest...)
	dst = append(dst, f.sigAlg...)
	dst = der.AppendHeader(dst, der.TagOctetString, size)
	if f.algorithm.ECDSA {
		return der.AppendECDSA(dst, signature)
	}
	return append(dst, signature...)
}

func (f *cmsFrame) maxOverhead() int {
	const headers = 10 * 5 // ten elements of varying length, headers of at most five octets
	const ecdsa = 12       // three headers and two sign octets, at most
	return headers + ecdsa + len(f.opening) + len(f.preamble) + len(f.eType) + len(f.certs) +
		len(f.signer) + f.algorithm.DigestSize + len(f.sigAlg) + f.algorithm.SignatureSize
}

func (f *cmsFrame) appendConstants(dst []byte) []byte {
	for _, c := range [][]byte{f.opening, f.preamble, f.eType, f.certs, f.signer, f.sigAlg, f.attrs} {
		dst = appendConstant(dst, c)
	}
	return dst
}
