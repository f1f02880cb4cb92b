package decision

// A Kind is a reason to refuse a request. The names are stable: logs, metrics
// and scripts may rely on them.
type Kind string

// Kinds about the request as a message, the same for every role.
const (
	UnknownPath     Kind = "unknown-path"           // no such path, label or operation
	WrongMethod     Kind = "wrong-method"           // a known path, asked with another method
	NoCertificate   Kind = "no-client-certificate"  // no TLS client certificate where one is needed
	BadCertificate  Kind = "bad-client-certificate" // the TLS client certificate cannot be read or does not verify
	ContentType     Kind = "content-type"           // Content-Type absent or not known here
	NotAcceptable   Kind = "not-acceptable"         // Accept excludes all that can be had
	Empty           Kind = "empty-body"             // a body is needed
	TooLarge        Kind = "too-large"              // a body, or a part of it, over its limit
	Wrapped         Kind = "wrapped"                // base64 or PEM where raw octets belong, or the reverse
	Malformed       Kind = "malformed"              // an envelope that cannot be read
	SeveralSigners  Kind = "several-signers"        // a request with more than one signature
	BadSignature    Kind = "bad-signature"          // a signature or digest that does not hold, or a forbidden algorithm
	BadPayload      Kind = "bad-payload"            // signed content that is not the message that belongs here
	BadNonce        Kind = "bad-nonce"              // nonce absent, or not 8 to 32 octets
	Pending         Kind = "pending"                // nothing is wrong; ask again with the same octets
	RateLimited     Kind = "rate-limited"           // too many requests of one client
	Overloaded      Kind = "overloaded"             // too many requests in all, or the role is shutting down
	StorageFull     Kind = "storage-full"           // no room to record what would be decided
	Internal        Kind = "internal"               // a fault of this side
	Incomplete      Kind = "incomplete"             // a body that does not arrive whole, or not in time
	ChannelBinding  Kind = "channel-binding"        // a challengePassword that does not name this connection
	UnsupportedForm Kind = "unsupported-form"       // a well-formed message in a form this role does not serve
)

// Kinds about a device and its IDevID.
const (
	UnknownManufacturer Kind = "unknown-manufacturer" // no configured manufacturer vouches for the IDevID
	NoSerialNumber      Kind = "no-serial-number"     // the IDevID does not state exactly one serial number
	OwnCertificate      Kind = "own-certificate"      // a certificate of our own domain where an IDevID belongs
	SignerNotPeer       Kind = "signer-not-peer"      // signed by another key than that of the TLS client
	SerialMismatch      Kind = "serial-mismatch"      // the request names another device than the IDevID
	DeviceNotListed     Kind = "device-not-listed"    // not on the list of devices to be admitted
	DeviceRefused       Kind = "device-refused"       // refused or blocked by an operator
	UnknownDevice       Kind = "unknown-device"       // no such device on record
	AmbiguousDevice     Kind = "ambiguous-device"     // several devices have the serial number
	IssuerMismatch      Kind = "issuer-mismatch"      // idevid-issuer is not that of the IDevID
	StaleRequest        Kind = "stale-request"        // a nonce seen before in another request, or a request too old
)

// Kinds about the relation of pledge, registrar and MASA.
const (
	WrongProximity     Kind = "wrong-proximity"       // the pledge speaks to another registrar, or does not say to which
	ChainInconsistent  Kind = "chain-inconsistent"    // no path from the signer to what could be pinned
	NotRegistrar       Kind = "not-registrar"         // the signer lacks id-kp-cmcRA
	PriorSignature     Kind = "prior-signature"       // the pledge's request inside is not by an IDevID of this manufacturer
	PriorMismatch      Kind = "prior-mismatch"        // the pledge's request inside is about another device
	ProximityNotInPath Kind = "proximity-not-in-path" // the registrar the pledge saw is not the one that asks
	NonceMismatch      Kind = "nonce-mismatch"        // the nonces differ, or only one request has one
	NoncelessUnknown   Kind = "nonceless-unknown"     // a nonceless request of somebody unknown
	NoncelessForbidden Kind = "nonceless-forbidden"   // a nonceless request the customer or the device is not allowed
	ForbiddenLeaf      Kind = "forbidden-leaf"        // a leaf a registrar must not state
	PinExpires         Kind = "pin-expires"           // the certificate to pin ends before the voucher would
	OwnedByOther       Kind = "owned-by-other"        // the device belongs to another customer
	NeverOwner         Kind = "never-owner"           // an audit log asked for by somebody who never owned the device
)

// Kinds about the registrar's dealings with a MASA.
const (
	NoMASA            Kind = "no-masa"             // neither the IDevID nor the configuration names one
	MASAAddress       Kind = "masa-address"        // its URL or address is one this registrar does not call
	MASAUnreachable   Kind = "masa-unreachable"    // no connection
	MASATimeout       Kind = "masa-timeout"        // no answer in time
	MASAUnavailable   Kind = "masa-unavailable"    // it is known to fail, or asks to be called later
	MASAUnauthorized  Kind = "masa-unauthorized"   // it does not know this registrar
	MASAForbids       Kind = "masa-forbids"        // it answered 403
	MASAUnknownDevice Kind = "masa-unknown-device" // it answered 404
	MASANotAcceptable Kind = "masa-not-acceptable" // it answered 406
	MASAContentType   Kind = "masa-content-type"   // it answered 415
	MASAFailed        Kind = "masa-failed"         // it answered with something else, or with what is no voucher
	VoucherMismatch   Kind = "voucher-mismatch"    // its voucher is not for this device, nonce or domain
	AuditRefused      Kind = "audit-refused"       // the device's audit log, or inventory control, forbids it
)

// Kinds about enrolment and telemetry.
const (
	NoVoucher       Kind = "no-voucher"       // enrolment before a voucher, or after the verdict on the log turned bad
	CSRMalformed    Kind = "csr-malformed"    // not a PKCS#10 request
	CSRSignature    Kind = "csr-signature"    // a request not signed by the key in it
	CSRPolicy       Kind = "csr-policy"       // asks for what this domain does not certify
	SubjectChanged  Kind = "subject-changed"  // renewal under another name
	KeyReused       Kind = "key-reused"       // a key that is another's
	NotEnrolled     Kind = "not-enrolled"     // renewal without a certificate of this domain
	CertificateGone Kind = "certificate-gone" // renewal with a certificate that expired or was revoked
	BadTelemetry    Kind = "bad-telemetry"    // a status message that cannot be read
)

// public is what a peer is told where nothing else is said: a category, since
// on a provisional connection nobody knows yet who listens.
var public = map[Kind]string{
	UnknownPath: "no such resource", WrongMethod: "method not allowed here",
	NoCertificate: "a client certificate is required", BadCertificate: "the client certificate is not accepted",
	ContentType: "content type not supported", NotAcceptable: "no acceptable representation",
	Empty: "the request has no body", TooLarge: "the request is too large", Wrapped: "the request is in the wrong encoding",
	Malformed: "the request cannot be read", SeveralSigners: "the request has more than one signature",
	BadSignature: "the signature does not verify", BadPayload: "the request's content is not valid", BadNonce: "the nonce is missing or not valid",
	Pending: "not decided yet; ask again", RateLimited: "too many requests", Overloaded: "busy; try again later",
	StorageFull: "temporarily out of service", Internal: "internal error",
	Incomplete: "the request did not arrive in time", ChannelBinding: "the channel binding does not match",
	UnsupportedForm: "this form of request is not supported",

	UnknownManufacturer: "the manufacturer is not known here", NoSerialNumber: "the device certificate has no usable serial number",
	OwnCertificate: "not a device certificate", SignerNotPeer: "the request is signed by another key than this connection's",
	SerialMismatch: "the request is for another device", DeviceNotListed: "device not accepted", DeviceRefused: "device not accepted",
	UnknownDevice: "device not known", AmbiguousDevice: "device not known", IssuerMismatch: "the device's issuer does not match",
	StaleRequest: "the request is stale",

	WrongProximity: "the request is for another registrar", ChainInconsistent: "the signer's certificates form no path",
	NotRegistrar: "the signer is not a registrar", PriorSignature: "the prior request does not verify",
	PriorMismatch: "the prior request is for another device", ProximityNotInPath: "the prior request is for another registrar",
	NonceMismatch: "the nonces do not match", NoncelessUnknown: "a request without nonce needs a known registrar",
	NoncelessForbidden: "requests without nonce are not allowed here", ForbiddenLeaf: "the request states what a registrar must not",
	PinExpires: "the certificate to pin expires too soon", OwnedByOther: "not allowed for this device", NeverOwner: "device not known",

	NoMASA: "the manufacturer's service is not known", MASAAddress: "the manufacturer's service is not known",
	MASAUnreachable: "the manufacturer's service does not answer", MASATimeout: "the manufacturer's service does not answer in time",
	MASAUnavailable: "the manufacturer's service is not available; try again later", MASAUnauthorized: "the manufacturer's service cannot be used",
	MASAForbids: "the manufacturer refuses", MASAUnknownDevice: "the manufacturer does not know the device",
	MASANotAcceptable: "the manufacturer has no acceptable voucher", MASAContentType: "the manufacturer does not support this kind of request",
	MASAFailed: "the manufacturer's service failed", VoucherMismatch: "the manufacturer's voucher cannot be used", AuditRefused: "device not accepted",

	NoVoucher: "enrolment is not allowed", CSRMalformed: "the certificate request cannot be read",
	CSRSignature: "the certificate request is not signed by its key", CSRPolicy: "the certificate request asks for what is not certified here",
	SubjectChanged: "the certificate request names another subject", KeyReused: "the key cannot be certified",
	NotEnrolled: "a certificate of this domain is required", CertificateGone: "the certificate is no longer valid here",
	BadTelemetry: "the status message cannot be read",
}

// Public returns what a peer is told of a refusal of this kind: a short
// sentence without names, numbers or reasons.
func (k Kind) Public() string {
	if text, ok := public[k]; ok {
		return text
	}
	return "refused"
}

// Kinds lists all kinds, in no particular order. Transports test with it that
// each has a status.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(public))
	for k := range public {
		kinds = append(kinds, k)
	}
	return kinds
}
