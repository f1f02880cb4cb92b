package codec

// The SID assignments here are those of draft-ietf-anima-rfc8366bis, modules of
// 2025-12-18.

// A leafID names a leaf of either module. The order is the order in which JSON
// members are written: what is the same for all vouchers of a run first, the
// serial number last, so that a template has one constant prefix.
type leafID uint8

const (
	leafNone leafID = iota
	leafCreatedOn
	leafExpiresOn
	leafLastRenewalDate
	leafAssertion
	leafDomainCertRevocationChecks
	leafEstDomain
	leafAdditionalConfigurationURL
	leafExtensions
	leafManufacturerProprietary
	leafPinnedDomainPubk
	leafPinnedDomainPubkSHA256
	leafPriorSignedVoucherRequest
	leafProximityRegistrarCert
	leafProximityRegistrarPubk
	leafProximityRegistrarPubkSHA256
	leafAgentProvidedProximityRegistrarCert
	leafAgentSignCert
	leafAgentSignedData
	leafPinnedDomainCert
	leafIDevIDIssuer
	leafNonce
	leafSerialNumber
	leafCount
)

// A leafKind is the YANG type of a leaf, as far as encodings tell types apart.
type leafKind uint8

const (
	kindText leafKind = iota // string, inet:uri
	kindBinary
	kindURLBinary // binary that JSON writes in base64url
	kindNonce     // binary whose JSON text is kept
	kindDate      // yang:date-and-time
	kindAssertion // enumeration
	kindBool
	kindExtensions   // leaf-list of union { uint64; string }
	kindCertificates // binary, or an array of them
)

// Module and container SIDs.
const (
	sidVoucher = 2451 // /ietf-voucher:voucher
	sidRequest = 2501 // /ietf-voucher-request:voucher
	sidMax     = 1<<63 - 1
)

// leaves describes every leaf: its name, type, and its SID in each module
// (0: not in that module).
var leaves = [leafCount]struct {
	name             string
	kind             leafKind
	voucher, request uint16
}{
	leafAssertion:                           {"assertion", kindAssertion, 2452, 2502},
	leafCreatedOn:                           {"created-on", kindDate, 2453, 2503},
	leafDomainCertRevocationChecks:          {"domain-cert-revocation-checks", kindBool, 2454, 2504},
	leafExpiresOn:                           {"expires-on", kindDate, 2455, 2505},
	leafIDevIDIssuer:                        {"idevid-issuer", kindBinary, 2456, 2506},
	leafLastRenewalDate:                     {"last-renewal-date", kindDate, 2457, 2507},
	leafNonce:                               {"nonce", kindNonce, 2458, 2508},
	leafPinnedDomainCert:                    {"pinned-domain-cert", kindBinary, 2459, 2509},
	leafPinnedDomainPubk:                    {"pinned-domain-pubk", kindBinary, 2460, 2518},
	leafPinnedDomainPubkSHA256:              {"pinned-domain-pubk-sha256", kindBinary, 2461, 2519},
	leafSerialNumber:                        {"serial-number", kindText, 2462, 2514},
	leafAdditionalConfigurationURL:          {"additional-configuration-url", kindText, 2463, 2520},
	leafEstDomain:                           {"est-domain", kindText, 2464, 2521},
	leafManufacturerProprietary:             {"manufacturer-proprietary", kindURLBinary, 2465, 2523},
	leafExtensions:                          {"extensions", kindExtensions, 2466, 2522},
	leafPriorSignedVoucherRequest:           {"prior-signed-voucher-request", kindBinary, 0, 2510},
	leafProximityRegistrarCert:              {"proximity-registrar-cert", kindBinary, 0, 2511},
	leafProximityRegistrarPubkSHA256:        {"proximity-registrar-pubk-sha256", kindBinary, 0, 2512},
	leafProximityRegistrarPubk:              {"proximity-registrar-pubk", kindBinary, 0, 2513},
	leafAgentProvidedProximityRegistrarCert: {"agent-provided-proximity-registrar-cert", kindBinary, 0, 2515},
	leafAgentSignCert:                       {"agent-sign-cert", kindCertificates, 0, 2516},
	leafAgentSignedData:                     {"agent-signed-data", kindBinary, 0, 2517},
}

// aliasManufacturer is a name one paragraph of draft-ietf-anima-rfc8366bis uses
// for manufacturer-proprietary: read, never written.
const aliasManufacturer = "manufacturer-private"

// Top-level member names, JSON and CBOR alike. The third appears in the
// examples of draft-ietf-anima-brski-prm: read, never written.
const (
	nameVoucher    = "ietf-voucher:voucher"
	nameRequest    = "ietf-voucher-request:voucher"
	nameRequestPRM = "ietf-voucher-request-prm:voucher"
)

// legacySIDs are ranges of abandoned drafts, first and last SID included. They
// are recognised so that the refusal can name them.
var legacySIDs = [...]struct {
	first, last uint64
	family      string
}{
	{1001100, 1001149, "the voucher range 1001100 of the zero-touch drafts of 2017 to 2019 (draft-ietf-6tisch-dtsecurity-zerotouch-join, early draft-ietf-anima-constrained-voucher)"},
	{1001150, 1001199, "the voucher-request range 1001150 of the zero-touch drafts of 2017 to 2019 (draft-ietf-6tisch-dtsecurity-zerotouch-join, early draft-ietf-anima-constrained-voucher)"},
}

func legacyFamily(sid uint64) string {
	for _, l := range legacySIDs {
		if sid >= l.first && sid <= l.last {
			return l.family
		}
	}
	return ""
}

// Lookup tables derived from leaves.
var (
	leavesByLength [48][]leafID    // by length of the name
	voucherLeaves  [1 + 15]leafID  // by SID delta
	requestLeaves  [1 + 22]leafID  // by SID delta
	_              = buildLeaves() // fills the three above
)

func buildLeaves() struct{} {
	for id := leafNone + 1; id < leafCount; id++ {
		l := &leaves[id]
		leavesByLength[len(l.name)] = append(leavesByLength[len(l.name)], id)
		if l.voucher != 0 {
			voucherLeaves[l.voucher-sidVoucher] = id
		}
		requestLeaves[l.request-sidRequest] = id
	}
	return struct{}{}
}

// leafByName returns the leaf of that name in the artefact's module, or leafNone.
func leafByName(name []byte, kind Artefact) leafID {
	if len(name) >= len(leavesByLength) {
		return leafNone
	}
	for _, id := range leavesByLength[len(name)] {
		if string(name) == leaves[id].name && (kind == ArtefactRequest || leaves[id].voucher != 0) {
			return id
		}
	}
	if string(name) == aliasManufacturer {
		return leafManufacturerProprietary
	}
	return leafNone
}

// leafBySID returns the leaf of that absolute SID in the artefact's module, or
// leafNone.
func leafBySID(sid uint64, kind Artefact) leafID {
	base, byDelta := uint64(sidVoucher), voucherLeaves[:]
	if kind == ArtefactRequest {
		base, byDelta = sidRequest, requestLeaves[:]
	}
	if sid <= base || sid-base >= uint64(len(byDelta)) {
		return leafNone
	}
	return byDelta[sid-base]
}

// topByName returns what a top-level member of that name holds.
func topByName(name []byte) Artefact {
	switch string(name) {
	case nameVoucher:
		return ArtefactVoucher
	case nameRequest, nameRequestPRM:
		return ArtefactRequest
	}
	return ArtefactUnknown
}

// topBySID returns what a top-level member of that SID holds.
func topBySID(sid uint64) Artefact {
	switch sid {
	case sidVoucher:
		return ArtefactVoucher
	case sidRequest:
		return ArtefactRequest
	}
	return ArtefactUnknown
}
