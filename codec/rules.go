package codec

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"
	"unicode/utf8"
)

// Rules selects what Validate demands. The zero Rules are those for reading
// what others signed; Strict ones are for what we sign.
type Rules struct {
	// Strict refuses what a reader tolerates: absent created-on or assertion,
	// nonce beside expires-on, leaves that a request cannot carry.
	Strict bool
	// AllowNeverExpires lets a strict voucher have neither nonce nor
	// expires-on; such a voucher is valid for ever, so issuing one is a policy
	// that must be stated.
	AllowNeverExpires bool
	// SerialBytes is the longest serial-number in octets; 0 is the default of
	// Limits, 64.
	SerialBytes int
}

// Sources of rules, as RuleError names them.
const (
	sourceYANG    = "RFC 8366 section 5.3"
	sourceBis     = "draft-ietf-anima-rfc8366bis, module ietf-voucher"
	sourceRequest = "RFC 8995 section 3"
	sourceSerial  = "RFC 8366 section 5.3, X520SerialNumber of RFC 5280"
)

// Validate checks the rules of validity that hold within a voucher, all of
// them here. Errors are *RuleError, the first one found. Expiry against the
// pinned certificate is apart, in CheckPinnedCertificate, as it parses the
// certificate; rules about now, signers and requests belong to the caller.
func (v *Voucher) Validate(r Rules) error {
	if err := v.validateShared(r); err != nil {
		return err
	}
	if !v.LastRenewalDate.IsZero() && v.ExpiresOn.IsZero() {
		return &RuleError{"last-renewal-date", "is set without expires-on", sourceYANG}
	}
	if v.PinnedDomainCert == nil && v.PinnedDomainPubk == nil && v.PinnedDomainPubkSHA256 == nil {
		return &RuleError{"pinned-domain-cert", "is absent, and so are pinned-domain-pubk and pinned-domain-pubk-sha256: a voucher needs one of them", sourceBis}
	}
	if !r.Strict {
		return nil
	}
	if v.CreatedOn.IsZero() {
		return &RuleError{"created-on", "is absent", sourceYANG}
	}
	if v.Assertion == AssertionUnset {
		return &RuleError{"assertion", "is absent", sourceYANG}
	}
	if v.Nonce != nil && !v.ExpiresOn.IsZero() {
		return &RuleError{"expires-on", "is set beside nonce: a voucher has one of them", sourceYANG}
	}
	if v.Nonce == nil && v.ExpiresOn.IsZero() && !r.AllowNeverExpires {
		return &RuleError{"expires-on", "is absent, and so is nonce: the voucher would never expire; set one, or allow it", sourceYANG}
	}
	if !v.ExpiresOn.IsZero() && v.ExpiresOn.Before(v.CreatedOn) {
		return &RuleError{"expires-on", fmt.Sprintf("%s is before created-on, %s", formatDate(v.ExpiresOn), formatDate(v.CreatedOn)), sourceYANG}
	}
	return nil
}

// Validate checks the rules of validity that hold within a voucher-request.
// Leaves that RFC 8995 tells readers to ignore in a request are ignored unless
// r is strict. Errors are *RuleError, the first one found.
func (q *VoucherRequest) Validate(r Rules) error {
	if err := q.Voucher.validateShared(r); err != nil {
		return err
	}
	a := artefact{v: &q.Voucher, r: q}
	for _, id := range [...]leafID{leafPriorSignedVoucherRequest, leafProximityRegistrarCert, leafProximityRegistrarPubk,
		leafAgentProvidedProximityRegistrarCert, leafAgentSignedData} {
		if err := checkNotEmpty(a, id, sourceRequest); err != nil {
			return err
		}
	}
	if err := checkSHA256("proximity-registrar-pubk-sha256", q.ProximityRegistrarPubkSHA256); err != nil {
		return err
	}
	if q.AgentSignCert != nil && len(q.AgentSignCert) == 0 {
		return &RuleError{"agent-sign-cert", "holds no certificate", "draft-ietf-anima-brski-prm"}
	}
	for _, cert := range q.AgentSignCert {
		if len(cert) == 0 {
			return &RuleError{"agent-sign-cert", "holds an empty certificate", "draft-ietf-anima-brski-prm"}
		}
	}
	if !r.Strict {
		return nil
	}
	for _, id := range [...]leafID{leafLastRenewalDate, leafDomainCertRevocationChecks, leafPinnedDomainCert,
		leafPinnedDomainPubk, leafPinnedDomainPubkSHA256} {
		if a.present(id) {
			return &RuleError{leaves[id].name, "is not valid in a request", sourceRequest}
		}
	}
	if q.PriorSignedVoucherRequest == nil {
		return nil
	}
	for _, id := range [...]leafID{leafProximityRegistrarCert, leafProximityRegistrarPubk, leafProximityRegistrarPubkSHA256} {
		if a.present(id) {
			return &RuleError{leaves[id].name, "is set beside prior-signed-voucher-request: a registrar does not state its own proximity", "RFC 8995 section 5.5"}
		}
	}
	return nil
}

// validateShared checks the rules that vouchers and requests share.
func (v *Voucher) validateShared(r Rules) error {
	if v.SerialNumber == nil {
		return &RuleError{"serial-number", "is absent", sourceYANG}
	}
	if err := CheckSerial(v.SerialNumber, r.SerialBytes); err != nil {
		return err
	}
	if v.Assertion > AssertionAgentProximity {
		return &RuleError{"assertion", fmt.Sprintf("value %d is not defined", v.Assertion), sourceBis}
	}
	if err := v.validateNonce(); err != nil {
		return err
	}
	if err := checkSHA256("pinned-domain-pubk-sha256", v.PinnedDomainPubkSHA256); err != nil {
		return err
	}
	for _, id := range [...]leafID{leafPinnedDomainCert, leafPinnedDomainPubk, leafIDevIDIssuer} {
		if err := checkNotEmpty(artefact{v: v}, id, sourceBis); err != nil {
			return err
		}
	}
	return nil
}

func (v *Voucher) validateNonce() error {
	if v.Nonce == nil {
		if v.NonceText != nil {
			return &RuleError{"nonce", "has a text (NonceText) and no octets (Nonce)", sourceYANG}
		}
		return nil
	}
	if n := len(v.Nonce); n < 8 || n > 32 {
		return &RuleError{"nonce", fmt.Sprintf("has %d octets, wants 8 to 32", n), sourceYANG}
	}
	if v.NonceText == nil {
		return nil
	}
	var buf [64]byte
	octets, ok := appendLenientBase64(buf[:0], v.NonceText)
	if !ok || !bytes.Equal(octets, v.Nonce) {
		return &RuleError{"nonce", "text (NonceText) and octets (Nonce) differ", sourceYANG}
	}
	return nil
}

// CheckPinnedCertificate checks that the pinned certificate, if any, parses,
// and that expires-on is not later than its notAfter (RFC 8366 section 5.3).
// Errors are *RuleError.
func (v *Voucher) CheckPinnedCertificate() error {
	if v.PinnedDomainCert == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(v.PinnedDomainCert)
	if err != nil {
		return &RuleError{"pinned-domain-cert", "is not a DER X.509 certificate: " + err.Error(), sourceYANG}
	}
	if v.ExpiresOn.After(cert.NotAfter) {
		return &RuleError{"expires-on", fmt.Sprintf("%s is later than notAfter of the pinned certificate, %s", formatDate(v.ExpiresOn), formatDate(cert.NotAfter)), sourceYANG}
	}
	return nil
}

// CheckSerial checks a serial number: 1 to maxBytes octets of UTF-8 (0 is the
// default of Limits, 64) without control characters (U+0000 to U+001F, U+007F
// to U+009F) and without blanks at either end. Errors are *RuleError. It does
// not allocate when the serial is good.
func CheckSerial(serial []byte, maxBytes int) error {
	if maxBytes <= 0 {
		maxBytes = DefaultLimits().SerialBytes
	}
	n := len(serial)
	if n == 0 {
		return &RuleError{"serial-number", "is empty", sourceSerial}
	}
	if n > maxBytes {
		return &RuleError{"serial-number", fmt.Sprintf("has %d octets, the limit is %d: raise SerialBytes to accept it", n, maxBytes), sourceSerial}
	}
	ascii := byte(0)
	for i, c := range serial {
		if c < 0x20 || c == 0x7f {
			return serialControl(i, rune(c))
		}
		ascii |= c
	}
	if ascii >= utf8.RuneSelf {
		if !utf8.Valid(serial) {
			return &RuleError{"serial-number", "is not UTF-8", sourceSerial}
		}
		for i := 1; i < n; i++ { // U+0080 to U+009F are C2 80 to C2 9F
			if serial[i-1] == 0xc2 && serial[i] < 0xa0 {
				return serialControl(i-1, rune(serial[i]))
			}
		}
	}
	if outerBlank(serial) {
		return &RuleError{"serial-number", "begins or ends with a blank", sourceSerial}
	}
	return nil
}

func serialControl(offset int, c rune) error {
	return &RuleError{"serial-number", fmt.Sprintf("holds the control character %U at octet %d", c, offset), sourceSerial}
}

// outerBlank reports a space at either end, the Unicode ones included.
func outerBlank(text []byte) bool {
	return len(bytes.TrimSpace(text)) != len(text)
}

func checkSHA256(leaf string, sum []byte) error {
	if sum != nil && len(sum) != 32 {
		return &RuleError{leaf, fmt.Sprintf("has %d octets, wants the 32 of SHA-256", len(sum)), sourceBis}
	}
	return nil
}

func checkNotEmpty(a artefact, id leafID, source string) error {
	if field := a.octets(id); *field != nil && len(*field) == 0 {
		return &RuleError{leaves[id].name, "is present and empty", source}
	}
	return nil
}

func formatDate(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
