package codec

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Report is what [Inspect] finds in an artefact. Nothing in it has been
// verified. Its JSON member names are stable; what is absent is left out.
type Report struct {
	// Octets is the size of the input, wrapping included.
	Octets int `json:"octets"`
	// Wrapping is "PEM", "base64", "base64url" or "hexadecimal digits".
	Wrapping string `json:"wrapping,omitempty"`
	// Format is "cms", "jws" or "cose", absent for a bare payload.
	Format string `json:"format,omitempty"`
	// ContentType is what CMS states about its content.
	ContentType string `json:"content-type,omitempty"`
	// Untagged says that a COSE_Sign1 lacks its tag.
	Untagged bool `json:"untagged,omitempty"`

	Signers      []ReportSigner      `json:"signers,omitempty"`
	Certificates []ReportCertificate `json:"certificates,omitempty"`
	Payload      *ReportPayload      `json:"payload,omitempty"`

	// Oddities are unusual and no reason to refuse; Problems are reasons why
	// a reader refuses the artefact. Both are empty for a voucher made today.
	Oddities []Oddity        `json:"oddities,omitempty"`
	Problems []ReportProblem `json:"problems,omitempty"`
}

// ReportSigner is one signature.
type ReportSigner struct {
	// Algorithm is the JOSE name, the COSE number or the CMS object identifier,
	// with its name where that is known.
	Algorithm string `json:"algorithm,omitempty"`
	// Digest is the digest algorithm of CMS.
	Digest string `json:"digest,omitempty"`
	// SignatureOctets is the size of the signature, raw for ECDSA.
	SignatureOctets int `json:"signature-octets"`
	// Certificate is the place of the signer's certificate in
	// Report.Certificates, absent when the envelope does not show it.
	Certificate *int `json:"certificate,omitempty"`
	// SerialNumber is that of the certificate, hexadecimal, and
	// SubjectKeyIdentifier names the signer, where CMS has them. KeyID is a kid.
	SerialNumber         string `json:"serial-number,omitempty"`
	SubjectKeyIdentifier string `json:"subject-key-identifier,omitempty"`
	KeyID                string `json:"kid,omitempty"`
	// SigningTime is what the signer stated.
	SigningTime *time.Time `json:"signing-time,omitempty"`
}

// ReportProblem is one reason to refuse an artefact.
type ReportProblem struct {
	// Code is a [Flaw], or "limit", "payload", "legacy-sids", "rule" or "certificate".
	Code string `json:"code"`
	Text string `json:"text"`
}

// inspectDepth is how many artefacts inside each other are reported: a
// voucher-request, the one it holds, and what an agent signed in that.
const inspectDepth = 3

// Inspect takes apart any voucher artefact as far as that goes: envelope or
// bare payload, in any wrapping, of past drafts too. What makes readers refuse
// it stands in Report.Problems. The error says that nothing could be made of
// it, or that lim.RequestBytes is passed; then the Report is nil.
func Inspect(b []byte, lim Limits) (*Report, error) {
	return inspect(b, lim.withDefaults(), inspectDepth)
}

func inspect(b []byte, lim Limits, depth int) (*Report, error) {
	if err := checkLimit("RequestBytes", len(b), lim.RequestBytes); err != nil {
		return nil, err
	}
	found, err := Detect(b)
	if err != nil {
		return nil, err
	}
	r := &Report{Octets: len(b)}
	if found.Wrapping != WrapNone {
		r.Wrapping = found.Wrapping.String()
	}
	if found.Format != FormatUnknown {
		r.Format = found.Format.String()
	}
	if found.Bare {
		payload, err := found.Unwrap(nil)
		if err != nil {
			return nil, err
		}
		if found.Wrapping != WrapNone {
			r.odd(found.Wrapping.oddity())
		}
		r.refused(refusal(FormatUnknown, FlawUnsigned, "", "a bare payload without a signature"))
		r.payload(payload, lim, depth)
		return r, nil
	}
	d := EnvelopeDecoder{Limits: lim, AllowUntagged: true, AllowWrapped: true, Request: true, inspecting: true}
	var e Envelope
	err = d.Decode(b, &e)
	for _, flaw := range d.flaws {
		r.refused(flaw)
	}
	if err != nil {
		r.refused(err)
	}
	r.envelope(&e)
	if err == nil {
		r.payload(e.Payload, lim, depth)
		r.misplaced(e.Format)
	}
	return r, nil
}

// misplaced puts a payload down that is in the encoding of another envelope.
func (r *Report) misplaced(f Format) {
	want := EncodingJSON
	if f == FormatCOSE {
		want = EncodingCBOR
	}
	if got := r.Payload.Encoding; got != "" && got != want.String() {
		r.Problems = append(r.Problems, ReportProblem{Code: "payload", Text: fmt.Sprintf("the content is %s, %v envelopes hold %v", got, f, want)})
	}
}

// refused puts a reason to refuse the artefact down.
func (r *Report) refused(err error) {
	code := "payload"
	var flaw *EnvelopeError
	var limit *LimitError
	var rule *RuleError
	var legacy *LegacySIDError
	switch {
	case errors.As(err, &legacy):
		code = "legacy-sids"
	case errors.As(err, &flaw):
		code = string(flaw.Flaw)
	case errors.As(err, &limit):
		code = "limit"
	case errors.As(err, &rule):
		code = "rule"
	}
	r.Problems = append(r.Problems, ReportProblem{Code: code, Text: err.Error()})
}

func (r *Report) odd(code OddityCode) {
	r.Oddities = append(r.Oddities, Oddity{Code: code, Text: oddityText[code]})
}

// envelope reports what surrounds the payload, as far as it was read.
func (r *Report) envelope(e *Envelope) {
	r.ContentType = e.ContentType.String()
	r.Untagged = e.Format == FormatCOSE && !e.Tagged
	r.Oddities = append(r.Oddities, e.Oddities...)
	for i := range e.Signers {
		r.Signers = append(r.Signers, reportSigner(e.Format, &e.Signers[i]))
	}
	for i, cert := range e.Certificates {
		c := reportCertificate(cert)
		if c.Error != "" {
			r.Problems = append(r.Problems, ReportProblem{Code: "certificate", Text: fmt.Sprintf("certificate %d: %s", i, c.Error)})
		}
		r.Certificates = append(r.Certificates, c)
	}
}

func reportSigner(f Format, s *EnvelopeSigner) ReportSigner {
	out := ReportSigner{
		SignatureOctets:      len(s.Signature),
		SerialNumber:         hex.EncodeToString(s.SerialDER),
		SubjectKeyIdentifier: hex.EncodeToString(s.SubjectKeyID),
	}
	switch f {
	case FormatCMS:
		out.Algorithm, out.Digest = oidName(s.SignatureOID), oidName(s.DigestOID)
	case FormatJWS:
		out.Algorithm, out.KeyID = string(s.JOSE), string(s.KeyID)
	case FormatCOSE:
		out.KeyID = hex.EncodeToString(s.KeyID)
		if s.COSE != 0 {
			out.Algorithm = coseName(s.COSE)
		}
	}
	if s.CertIndex >= 0 {
		at := s.CertIndex
		out.Certificate = &at
	}
	if !s.SigningTime.IsZero() {
		at := s.SigningTime
		out.SigningTime = &at
	}
	return out
}

// algorithmNames are the algorithms that vouchers are met with, by object
// identifier. A name is for reading; the codec decides nothing by it.
var algorithmNames = map[string]string{
	"1.2.840.10045.2.1":       "ecPublicKey",
	"1.2.840.10045.4.1":       "ecdsa-with-SHA1",
	"1.2.840.10045.4.3.2":     "ecdsa-with-SHA256",
	"1.2.840.10045.4.3.3":     "ecdsa-with-SHA384",
	"1.2.840.10045.4.3.4":     "ecdsa-with-SHA512",
	"1.2.840.113549.1.1.1":    "rsaEncryption",
	"1.2.840.113549.1.1.10":   "RSASSA-PSS",
	"1.2.840.113549.1.1.11":   "sha256WithRSAEncryption",
	"1.2.840.113549.1.1.12":   "sha384WithRSAEncryption",
	"1.2.840.113549.1.1.13":   "sha512WithRSAEncryption",
	"1.3.101.112":             "Ed25519",
	"1.3.101.113":             "Ed448",
	"1.3.14.3.2.26":           "SHA-1",
	"2.16.840.1.101.3.4.2.1":  "SHA-256",
	"2.16.840.1.101.3.4.2.2":  "SHA-384",
	"2.16.840.1.101.3.4.2.3":  "SHA-512",
	"2.16.840.1.101.3.4.3.17": "ML-DSA-44",
	"2.16.840.1.101.3.4.3.18": "ML-DSA-65",
	"2.16.840.1.101.3.4.3.19": "ML-DSA-87",
}

func oidName(oid []byte) string {
	if len(oid) == 0 {
		return ""
	}
	dotted := oidString(oid)
	if name := algorithmNames[dotted]; name != "" {
		return name + " (" + dotted + ")"
	}
	return dotted
}

func coseName(alg int64) string {
	names := map[int64]string{
		-7: "ES256", -8: "EdDSA", -9: "ESP256", -19: "Ed25519", -35: "ES384", -36: "ES512", -37: "PS256",
		-47: "ES256K", -48: "ML-DSA-44", -49: "ML-DSA-65", -50: "ML-DSA-87", -51: "ESP384", -52: "ESP512", -257: "RS256",
	}
	if name := names[alg]; name != "" {
		return fmt.Sprintf("%s (%d)", name, alg)
	}
	return fmt.Sprint(alg)
}
