package pledge

import "github.com/vouchmill/vouchmill/engine/decision"

// Kinds of refusal that only a pledge has, beside those of package decision.
// Their names are stable.
const (
	Unreachable         decision.Kind = "unreachable"          // no connection, or none that lasts
	NotUnderPin         decision.Kind = "not-under-pin"        // the voucher is for another domain than the TLS server's
	AssertionRefused    decision.Kind = "assertion-refused"    // the maker does not admit this assertion
	VoucherUntimely     decision.Kind = "voucher-untimely"     // expired, or made in the future
	RevocationUnknown   decision.Kind = "revocation-unknown"   // the voucher demands a revocation check that cannot be made, or fails
	PeerChanged         decision.Kind = "peer-changed"         // another TLS server than the one the request was made for
	BadRedirect         decision.Kind = "bad-redirect"         // a redirect that is not followed
	RegistrarRefused    decision.Kind = "registrar-refused"    // the registrar answered with an error
	WrongAnswer         decision.Kind = "wrong-answer"         // an answer of the wrong media type
	PendingTooLong      decision.Kind = "pending-too-long"     // still not decided after MaxPending
	BadAuthorities      decision.Kind = "bad-authorities"      // /cacerts does not fit the voucher, or holds no authority
	BadAttributes       decision.Kind = "bad-attributes"       // /csrattrs cannot be read, or asks for what this device cannot give
	BadIssuedCert       decision.Kind = "bad-certificate"      // the certificate issued is not the one asked for
	UntrustedServer     decision.Kind = "untrusted-server"     // an EST server that is not of the domain
	NotJoined           decision.Kind = "not-joined"           // there is nothing to renew
	ForeignState        decision.Kind = "foreign-state"        // the state is another device's
	InconsistentStorage decision.Kind = "inconsistent-storage" // files do not belong together
)

// reasons are what a registrar is told of a refusal (RFC 8995 §5.7: nothing
// that helps an attacker): a category, for refusals it does not help to hide.
var reasons = map[decision.Kind]string{
	decision.Empty: "the voucher is empty", decision.TooLarge: "an answer was too large", decision.Wrapped: "the voucher is in the wrong encoding",
	decision.Malformed: "the voucher cannot be read", decision.BadSignature: "the voucher's signature is not accepted",
	decision.BadPayload: "the voucher's content is not valid", decision.BadNonce: "the voucher's content is not valid",
	decision.SerialMismatch: "the voucher is for another device", decision.IssuerMismatch: "the voucher is for another device",
	decision.NonceMismatch: "the voucher answers another request", decision.NoncelessForbidden: "a voucher without nonce is not accepted",
	decision.NotRegistrar: "the server is no registrar",
	NotUnderPin:           "the voucher is for another domain", AssertionRefused: "the assertion is not acceptable",
	VoucherUntimely: "the voucher is not valid now", RevocationUnknown: "revocation cannot be checked",
	BadAuthorities: "the CA certificates are not usable", BadAttributes: "the CSR attributes are not usable",
	BadIssuedCert: "the certificate is not the one asked for", RegistrarRefused: "enrolment was refused",
	PendingTooLong: "enrolment took too long", WrongAnswer: "an answer was of the wrong type",
}

// reason is what a registrar is told of a refusal.
func reason(r *decision.Refusal) string {
	if text, ok := reasons[r.Kind]; ok {
		return text
	}
	return r.Public
}
