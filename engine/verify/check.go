package verify

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Check is one of the things that can be wrong. The names are stable; scripts
// may rely on them.
type Check string

// The checks. The package comment says what each of them is about.
const (
	CheckRead      Check = "read"
	CheckPage      Check = "page"
	CheckEnvelope  Check = "envelope"
	CheckAlgorithm Check = "algorithm"
	CheckChain     Check = "chain"
	CheckDigest    Check = "digest"
	CheckSignature Check = "signature"
	CheckPayload   Check = "payload"
	CheckRules     Check = "rules"
	CheckTime      Check = "time"
	CheckEntry     Check = "entry"
	CheckPin       Check = "pin"
	CheckIssuer    Check = "idevid-issuer"
	CheckSerial    Check = "serial-number"
	CheckManifest  Check = "manifest"
)

// order is that of the checks, and what each of them says when it holds.
var order = []struct {
	check Check
	holds string
}{
	{CheckRead, "every source could be read to its end"},
	{CheckPage, "pages of the store have the checksums and Merkle nodes they were written with"},
	{CheckEnvelope, "envelopes are CMS, JWS or COSE, within the limits"},
	{CheckAlgorithm, "signature algorithms are known and fit the signers' keys"},
	{CheckChain, "signers lead to a trust anchor at the given time"},
	{CheckDigest, "contents are those that were signed"},
	{CheckSignature, "signatures fit messages and keys"},
	{CheckPayload, "payloads are vouchers in JSON or CBOR"},
	{CheckRules, "leaves keep the rules of RFC 8366"},
	{CheckTime, "vouchers are valid at the given time"},
	{CheckEntry, "names, serial numbers and formats stated beside the vouchers agree with them"},
	{CheckPin, "the expected certificate is pinned"},
	{CheckIssuer, "the expected issuer of IDevIDs is named"},
	{CheckSerial, "each expected device has one voucher, and no other device has one"},
	{CheckManifest, "manifests are signed, and their counts, trees and templates are those of the vouchers"},
}

// String returns the name.
func (c Check) String() string { return string(c) }

// Holds says in words what is true when the check passes.
func (c Check) Holds() string {
	if i := c.rank(); i >= 0 {
		return order[i].holds
	}
	return ""
}

// rank is the place in the order, -1 for what is no check.
func (c Check) rank() int {
	for i := range order {
		if order[i].check == c {
			return i
		}
	}
	return -1
}

// sorted returns the checks of a set in their order.
func sorted(set map[Check]bool) []Check {
	var list []Check
	for i := range order {
		if set[order[i].check] {
			list = append(list, order[i].check)
		}
	}
	return slices.Clip(list)
}

// A Failure is a voucher that did not pass, an expected device that has none, or
// a source, page or manifest that is not what it should be.
type Failure struct {
	Place  string `json:"place"`                   // file, entry, page
	Serial string `json:"serial-number,omitempty"` // of the voucher, as far as it could be told
	Check  Check  `json:"check"`                   // the first that failed
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}

// Error returns place, check, cause and remedy on one line. File names and what
// others signed are in it: what a terminal might obey is left out.
func (f *Failure) Error() string {
	text := f.Place
	if f.Serial != "" {
		text += fmt.Sprintf(", serial number %q", f.Serial)
	}
	text += ": " + string(f.Check) + ": " + f.Reason
	if f.Remedy != "" {
		text += "; " + f.Remedy
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// A finding is the first thing that is wrong with a voucher, a page or a source.
// The zero finding is none.
type finding struct {
	check          Check
	reason, remedy string
}

func found(check Check, remedy, format string, args ...any) finding {
	return finding{check: check, reason: fmt.Sprintf(format, args...), remedy: remedy}
}

func (f finding) none() bool { return f.check == "" }

// at makes a failure of a finding.
func (f finding) at(place, serial string) *Failure {
	return &Failure{Place: place, Serial: serial, Check: f.check, Reason: f.reason, Remedy: f.remedy}
}
