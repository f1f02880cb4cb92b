package codec

import (
	"fmt"
	"time"
)

// A Format is a signed envelope.
type Format uint8

// The envelopes a voucher travels in.
const (
	FormatUnknown Format = iota
	FormatCMS            // CMS SignedData over JSON (RFC 8366 section 5.4)
	FormatJWS            // JWS general JSON serialisation over JSON (draft-ietf-anima-jws-voucher)
	FormatCOSE           // COSE_Sign1 over CBOR (draft-ietf-anima-constrained-voucher)
)

var formats = [...]struct{ name, mediaType, extension string }{
	FormatUnknown: {"unknown", "", ""},
	FormatCMS:     {"cms", "application/voucher-cms+json", ".vcj"},
	FormatJWS:     {"jws", "application/voucher-jws+json", ".vjj"},
	FormatCOSE:    {"cose", "application/voucher+cose", ".vch"},
}

// ParseFormat maps "cms", "jws" and "cose" to their Format.
func ParseFormat(s string) (Format, error) {
	for f := FormatCMS; f <= FormatCOSE; f++ {
		if formats[f].name == s {
			return f, nil
		}
	}
	return FormatUnknown, fmt.Errorf("unknown voucher format %q: want cms, jws or cose", s)
}

// String returns "cms", "jws", "cose" or "unknown".
func (f Format) String() string { return formats[f.valid()].name }

// MediaType returns the registered media type, "" for FormatUnknown.
func (f Format) MediaType() string { return formats[f.valid()].mediaType }

// Extension returns the registered file extension with its dot, "" for
// FormatUnknown.
func (f Format) Extension() string { return formats[f.valid()].extension }

func (f Format) valid() Format {
	if int(f) < len(formats) {
		return f
	}
	return FormatUnknown
}

// An Encoding is how a payload is written inside its envelope.
type Encoding uint8

// The payload encodings.
const (
	EncodingUnknown Encoding = iota
	EncodingJSON             // RFC 7951, inside CMS and JWS
	EncodingCBOR             // RFC 9254, inside COSE
)

// String returns "JSON", "CBOR" or "unknown".
func (e Encoding) String() string {
	switch e {
	case EncodingJSON:
		return "JSON"
	case EncodingCBOR:
		return "CBOR"
	}
	return "unknown"
}

// An Artefact is what a payload holds.
type Artefact uint8

// The artefacts.
const (
	ArtefactUnknown Artefact = iota
	ArtefactVoucher          // RFC 8366
	ArtefactRequest          // RFC 8995 section 3
)

// String returns "voucher", "voucher-request" or "unknown artefact".
func (a Artefact) String() string {
	switch a {
	case ArtefactVoucher:
		return "voucher"
	case ArtefactRequest:
		return "voucher-request"
	}
	return "unknown artefact"
}

// An Assertion is what a MASA states about the relation of owner and device
// (RFC 8366 section 5.3). Its value is the CBOR integer plus one.
type Assertion uint8

// The assertions; AgentProximity comes with draft-ietf-anima-rfc8366bis.
const (
	AssertionUnset Assertion = iota
	AssertionVerified
	AssertionLogged
	AssertionProximity
	AssertionAgentProximity
)

var assertionNames = [...]string{"unset", "verified", "logged", "proximity", "agent-proximity"}

// ParseAssertion maps the four YANG names to their Assertion.
func ParseAssertion(s string) (Assertion, error) {
	if a := assertionByName([]byte(s)); a != AssertionUnset {
		return a, nil
	}
	return AssertionUnset, fmt.Errorf("unknown assertion %q: want verified, logged, proximity or agent-proximity", s)
}

func assertionByName(name []byte) Assertion {
	for a := AssertionVerified; a <= AssertionAgentProximity; a++ {
		if string(name) == assertionNames[a] {
			return a
		}
	}
	return AssertionUnset
}

// String returns the YANG name, "unset", or "invalid".
func (a Assertion) String() string {
	if int(a) < len(assertionNames) {
		return assertionNames[a]
	}
	return "invalid"
}

// A Bool is a boolean leaf that may be absent.
type Bool uint8

// The values of a boolean leaf.
const (
	BoolUnset Bool = iota
	BoolFalse
	BoolTrue
)

// BoolOf returns BoolTrue or BoolFalse.
func BoolOf(b bool) Bool {
	if b {
		return BoolTrue
	}
	return BoolFalse
}

// A Voucher holds every leaf of the YANG module ietf-voucher, of RFC 8366 and
// of draft-ietf-anima-rfc8366bis.
//
// A nil slice is an absent leaf, an empty one that is not nil a leaf that is
// present and empty. A zero time is an absent date; the instant of the zero
// time itself is refused by encoders and decoders. Slices filled by a decoder
// are views into its input or its arena: they hold until the decoder's next
// call and as long as the input is not changed.
type Voucher struct {
	Assertion                  Assertion
	CreatedOn                  time.Time
	ExpiresOn                  time.Time
	LastRenewalDate            time.Time
	DomainCertRevocationChecks Bool

	SerialNumber           []byte // UTF-8
	IDevIDIssuer           []byte // extnValue of the IDevID's AKI, OCTET STRING header included; see NormalizeIssuer
	PinnedDomainCert       []byte // DER certificate
	PinnedDomainPubk       []byte // DER SubjectPublicKeyInfo
	PinnedDomainPubkSHA256 []byte // 32 octets

	Nonce     []byte // octets
	NonceText []byte // the JSON string as received, unescaped; emitted verbatim, so that textual comparison works

	EstDomain                  []byte      // URI
	AdditionalConfigurationURL []byte      // URI
	Extensions                 []Extension // extension modules in use
	ManufacturerProprietary    []byte

	Unknown []UnknownLeaf // members the model does not know, in the order received
}

// A VoucherRequest holds every leaf of the YANG module ietf-voucher-request, of
// RFC 8995 section 3.4 and of draft-ietf-anima-rfc8366bis: all leaves of a
// voucher (the module uses its grouping), and its own.
type VoucherRequest struct {
	Voucher

	PriorSignedVoucherRequest           []byte // the signed request as received
	ProximityRegistrarCert              []byte // DER certificate
	ProximityRegistrarPubk              []byte // DER SubjectPublicKeyInfo
	ProximityRegistrarPubkSHA256        []byte // 32 octets
	AgentProvidedProximityRegistrarCert []byte // DER certificate
	AgentSignedData                     []byte
	// AgentSignCert is the agent's certificate, then its chain, DER. YANG knows
	// one certificate, draft-ietf-anima-brski-prm an array; both are read, an
	// array is written in JSON, and in CBOR when there are several.
	AgentSignCert [][]byte
}

// An Extension is one entry of the leaf-list extensions, a union of uint64 and
// string.
type Extension struct {
	SID  uint64 // SID of the extension module, when Name is nil
	Name []byte // name of the extension module
}

// An UnknownLeaf is a member of a payload that the model does not know, kept
// so that encoding in the same encoding yields it again. It cannot be carried
// from one encoding to the other.
type UnknownLeaf struct {
	Encoding Encoding
	Name     []byte // member name; nil in CBOR when the key is a SID
	SID      uint64 // absolute SID when Name is nil
	Absolute bool   // the SID was written absolute (tag 47), as extensions are
	Value    []byte // the encoded value
}

// An artefact gives encoders and decoders one view of vouchers and requests:
// r is nil for a voucher, else v is &r.Voucher.
type artefact struct {
	v *Voucher
	r *VoucherRequest
}

func (a artefact) kind() Artefact {
	if a.r != nil {
		return ArtefactRequest
	}
	return ArtefactVoucher
}

// octets returns the field of a text, binary or nonce leaf, or nil.
func (a artefact) octets(id leafID) *[]byte {
	switch id {
	case leafSerialNumber:
		return &a.v.SerialNumber
	case leafIDevIDIssuer:
		return &a.v.IDevIDIssuer
	case leafPinnedDomainCert:
		return &a.v.PinnedDomainCert
	case leafPinnedDomainPubk:
		return &a.v.PinnedDomainPubk
	case leafPinnedDomainPubkSHA256:
		return &a.v.PinnedDomainPubkSHA256
	case leafNonce:
		return &a.v.Nonce
	case leafEstDomain:
		return &a.v.EstDomain
	case leafAdditionalConfigurationURL:
		return &a.v.AdditionalConfigurationURL
	case leafManufacturerProprietary:
		return &a.v.ManufacturerProprietary
	}
	if a.r == nil {
		return nil
	}
	switch id {
	case leafPriorSignedVoucherRequest:
		return &a.r.PriorSignedVoucherRequest
	case leafProximityRegistrarCert:
		return &a.r.ProximityRegistrarCert
	case leafProximityRegistrarPubk:
		return &a.r.ProximityRegistrarPubk
	case leafProximityRegistrarPubkSHA256:
		return &a.r.ProximityRegistrarPubkSHA256
	case leafAgentProvidedProximityRegistrarCert:
		return &a.r.AgentProvidedProximityRegistrarCert
	case leafAgentSignedData:
		return &a.r.AgentSignedData
	}
	return nil
}

// date returns the field of a date leaf.
func (a artefact) date(id leafID) *time.Time {
	switch id {
	case leafCreatedOn:
		return &a.v.CreatedOn
	case leafExpiresOn:
		return &a.v.ExpiresOn
	}
	return &a.v.LastRenewalDate
}

// present reports whether the leaf is set.
func (a artefact) present(id leafID) bool {
	switch leaves[id].kind {
	case kindDate:
		return !a.date(id).IsZero()
	case kindAssertion:
		return a.v.Assertion != AssertionUnset
	case kindBool:
		return a.v.DomainCertRevocationChecks != BoolUnset
	case kindExtensions:
		return a.v.Extensions != nil
	case kindCertificates:
		return a.r != nil && a.r.AgentSignCert != nil
	case kindNonce:
		return a.v.Nonce != nil || a.v.NonceText != nil
	}
	field := a.octets(id)
	return field != nil && *field != nil
}
