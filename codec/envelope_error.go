package codec

// Flaw names, for machines, why an envelope is refused.
type Flaw string

// The flaws of an envelope.
const (
	FlawUnrecognised  Flaw = "unrecognised"         // no voucher envelope at all
	FlawMalformed     Flaw = "malformed"            // broken encoding
	FlawTrailing      Flaw = "trailing-octets"      // something after the envelope
	FlawKind          Flaw = "wrong-kind"           // another CMS, JWS or COSE structure
	FlawWrapped       Flaw = "wrapped"              // PEM, base64 or hexadecimal digits around it
	FlawUnsigned      Flaw = "unsigned"             // a bare payload
	FlawUntagged      Flaw = "untagged"             // COSE without tag 18
	FlawDetached      Flaw = "detached"             // the content is not inside
	FlawContentType   Flaw = "content-type"         // neither voucher nor id-data, or a wrong typ
	FlawNoSigner      Flaw = "no-signer"            // no signature inside
	FlawNoAttributes  Flaw = "no-signed-attributes" // CMS signature over bare content
	FlawAttribute     Flaw = "signed-attribute"     // attribute missing, malformed or at odds
	FlawDuplicate     Flaw = "duplicate"            // attribute, member or label twice
	FlawAlgorithm     Flaw = "algorithm"            // missing, unprotected or one that proves nothing
	FlawCritical      Flaw = "critical-header"      // a critical header not understood
	FlawSignature     Flaw = "signature-form"       // signature octets in the wrong form
	FlawCertificates  Flaw = "certificates"         // x5c, x5bag or x5chain malformed
	FlawHeader        Flaw = "header"               // another header malformed
	FlawSerialisation Flaw = "serialisation"        // JWS flattened or compact
)

// EnvelopeError says why an envelope is refused.
type EnvelopeError struct {
	Format Format // FormatUnknown when it is none
	Flaw   Flaw
	Part   string // where, such as "signerInfo" or "protected header"; may be empty
	Text   string // what is wrong there and what to do
	Err    error  // cause, may be nil
}

// Error implements error.
func (e *EnvelopeError) Error() string {
	s := "envelope"
	if e.Format != FormatUnknown {
		s = e.Format.String() + " envelope"
	}
	if e.Part != "" {
		s += ": " + e.Part
	}
	s += ": " + e.Text
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *EnvelopeError) Unwrap() error { return e.Err }

func refusal(f Format, flaw Flaw, part, text string) *EnvelopeError {
	return &EnvelopeError{Format: f, Flaw: flaw, Part: part, Text: text}
}

func malformed(f Format, part string, cause error) *EnvelopeError {
	return &EnvelopeError{Format: f, Flaw: FlawMalformed, Part: part, Text: "malformed", Err: cause}
}

// OddityCode names, for machines, something unusual about an envelope or its
// payload that is no reason to refuse it.
type OddityCode string

// The oddities.
const (
	OddPEM               OddityCode = "pem"
	OddBase64            OddityCode = "base64"
	OddHex               OddityCode = "hex"
	OddBER               OddityCode = "ber"
	OddContentData       OddityCode = "id-data"
	OddVersion           OddityCode = "cms-version"
	OddAttributeOrder    OddityCode = "attribute-order"
	OddUnsignedAttrs     OddityCode = "unsigned-attributes"
	OddCRLs              OddityCode = "crls"
	OddOtherCertificates OddityCode = "other-certificates"
	OddBadCertificate    OddityCode = "bad-certificate"
	OddNoSignerCert      OddityCode = "no-signer-certificate"
	OddNoChain           OddityCode = "no-chain"
	OddSeveralSigners    OddityCode = "several-signers"
	OddKeyIdentifier     OddityCode = "subject-key-identifier"
	OddNoType            OddityCode = "no-typ"
	OddUnprotected       OddityCode = "unprotected-header"
	OddUnknownHeader     OddityCode = "unknown-header"
	OddUntagged          OddityCode = "untagged"
	OddSelfDescribed     OddityCode = "self-described"
	OddLongForm          OddityCode = "not-shortest"
	OddIndefinite        OddityCode = "indefinite-length"
	OddArrayOfOne        OddityCode = "array-of-one"
	OddProtectedCerts    OddityCode = "protected-certificates"
	OddX5U               OddityCode = "x5u"

	OddStaleName      OddityCode = "stale-top-level-name"
	OddNonceText      OddityCode = "nonce-base64url"
	OddNonceHex       OddityCode = "nonce-hex"
	OddIssuerForm     OddityCode = "idevid-issuer-form"
	OddUnknownLeaves  OddityCode = "unknown-leaves"
	OddNonceAndExpiry OddityCode = "nonce-and-expires-on"
	OddNeverExpires   OddityCode = "never-expires"
	OddNoCreatedOn    OddityCode = "no-created-on"
	OddNoAssertion    OddityCode = "no-assertion"
)

var oddityText = map[OddityCode]string{
	OddPEM:               "wrapped in PEM",
	OddBase64:            "wrapped in base64",
	OddHex:               "written in hexadecimal digits",
	OddBER:               "BER where producers must write DER",
	OddContentData:       "content type id-data instead of id-ct-animaJSONVoucher",
	OddVersion:           "SignedData version is not the one RFC 5652 section 5.1 gives for this content",
	OddAttributeOrder:    "signed attributes are not in DER order",
	OddUnsignedAttrs:     "carries unsigned attributes, which prove nothing",
	OddCRLs:              "carries revocation lists",
	OddOtherCertificates: "carries certificates that are not X.509",
	OddBadCertificate:    "carries a certificate that cannot be read",
	OddNoSignerCert:      "the signer's certificate is not inside",
	OddNoChain:           "carries the signer's certificate without its chain",
	OddSeveralSigners:    "has several signatures",
	OddKeyIdentifier:     "names its signer by subject key identifier",
	OddNoType:            "protected header has no typ",
	OddUnprotected:       "has an unprotected JWS header, which is ignored",
	OddUnknownHeader:     "has header parameters this program does not know",
	OddUntagged:          "COSE_Sign1 without tag 18",
	OddSelfDescribed:     "has the self-described CBOR tag 55799",
	OddLongForm:          "CBOR lengths or integers not in their shortest form",
	OddIndefinite:        "CBOR items of indefinite length",
	OddArrayOfOne:        "one certificate in an array, where RFC 9360 has a bare byte string",
	OddProtectedCerts:    "certificates in the protected header, where no registrar can take them out",
	OddX5U:               "names a certificate by URI, which is never fetched",
	OddStaleName:         "top-level member of an early draft of brski-prm",
	OddNonceText:         "nonce is unpadded or in the base64url alphabet; it is compared as text",
	OddNonceHex:          "nonce looks like hexadecimal digits; it is read as base64 and compared as text",
	OddIssuerForm:        "idevid-issuer lacks the OCTET STRING header that RFC 8366bis asks for",
	OddUnknownLeaves:     "holds leaves this program does not know",
	OddNonceAndExpiry:    "has both nonce and expires-on, which RFC 8366 excludes",
	OddNeverExpires:      "has neither nonce nor expires-on: valid for ever",
	OddNoCreatedOn:       "has no created-on, which RFC 8366 demands",
	OddNoAssertion:       "has no assertion: it counts as logged",
}

// Oddity is something unusual that is no reason to refuse an envelope.
type Oddity struct {
	Code OddityCode `json:"code"`
	Text string     `json:"text"`
}

// odd puts an oddity down, once.
func (e *Envelope) odd(code OddityCode) {
	for i := range e.Oddities {
		if e.Oddities[i].Code == code {
			return
		}
	}
	e.Oddities = append(e.Oddities, Oddity{Code: code, Text: oddityText[code]})
}
