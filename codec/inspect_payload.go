package codec

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"time"
)

// ReportPayload is the content of an artefact.
type ReportPayload struct {
	// Octets is its size, Encoding "JSON" or "CBOR".
	Octets   int    `json:"octets"`
	Encoding string `json:"encoding,omitempty"`
	// Artefact is "voucher" or "voucher-request", absent for something else.
	Artefact string `json:"artefact,omitempty"`
	// TopLevel is the top-level member name or SID as it stands.
	TopLevel string `json:"top-level,omitempty"`
	// SIDFamily names the abandoned draft that a SID comes from.
	SIDFamily string `json:"sid-family,omitempty"`
	// Leaves lists the leaves that are present, unknown ones last.
	Leaves []ReportLeaf `json:"leaves,omitempty"`
}

// ReportLeaf is one leaf. Exactly one of Text, Binary and List is present,
// whatever the encoding of the payload was.
type ReportLeaf struct {
	Name string `json:"name"`
	// Text is a string, a date (RFC 3339, UTC), an enumeration or a boolean.
	Text *string `json:"text,omitempty"`
	// Binary is standard base64 with padding.
	Binary *string  `json:"binary,omitempty"`
	List   []string `json:"list,omitempty"`
	// Unknown says that the model does not know the leaf; Binary holds its
	// value as encoded.
	Unknown bool `json:"unknown,omitempty"`
	// Certificates tells what a leaf that holds certificates says, Inner what
	// one that holds a signed artefact does.
	Certificates []ReportCertificate `json:"certificates,omitempty"`
	Inner        *Report             `json:"inner,omitempty"`
}

// payload reports the content.
func (r *Report) payload(b []byte, lim Limits, depth int) {
	p := &ReportPayload{Octets: len(b)}
	r.Payload = p
	seen, err := Sniff(b)
	if err != nil {
		r.refused(err)
		return
	}
	p.Encoding = seen.Encoding.String()
	p.TopLevel, p.SIDFamily = seen.Name, seen.Legacy
	if seen.SID != 0 {
		p.TopLevel = strconv.FormatUint(seen.SID, 10)
	}
	if seen.Artefact != ArtefactUnknown {
		p.Artefact = seen.Artefact.String()
	}
	d := PayloadDecoder{Limits: lim, Unknown: KeepUnknown}
	var q VoucherRequest
	a := artefact{v: &q.Voucher}
	rules := Rules{SerialBytes: lim.SerialBytes}
	switch {
	case seen.Artefact == ArtefactRequest:
		a.r = &q
		if seen.Encoding == EncodingCBOR {
			err = d.RequestCBOR(b, &q)
		} else {
			err = d.RequestJSON(b, &q)
		}
		if err == nil {
			err = q.Validate(rules)
		}
	case seen.Encoding == EncodingCBOR:
		err = d.VoucherCBOR(b, &q.Voucher)
	default:
		err = d.VoucherJSON(b, &q.Voucher)
	}
	if err == nil && a.r == nil {
		if err = q.Voucher.Validate(rules); err == nil {
			err = q.Voucher.CheckPinnedCertificate()
		}
	}
	if err != nil {
		r.refused(err)
	}
	p.leaves(a, lim, depth)
	r.payloadOddities(a, seen)
}

// leaves lists the leaves that were read.
func (p *ReportPayload) leaves(a artefact, lim Limits, depth int) {
	for id := leafNone + 1; id < leafCount; id++ {
		if a.present(id) {
			p.Leaves = append(p.Leaves, reportLeaf(a, id, lim, depth))
		}
	}
	for i := range a.v.Unknown {
		u := &a.v.Unknown[i]
		name := string(u.Name)
		if u.Name == nil {
			name = strconv.FormatUint(u.SID, 10)
		}
		p.Leaves = append(p.Leaves, ReportLeaf{Name: name, Unknown: true, Binary: reportBinary(u.Value)})
	}
}

func reportBinary(b []byte) *string {
	s := base64.StdEncoding.EncodeToString(b)
	return &s
}

func reportLeaf(a artefact, id leafID, lim Limits, depth int) ReportLeaf {
	l := ReportLeaf{Name: leaves[id].name}
	text := func(s string) { l.Text = &s }
	switch leaves[id].kind {
	case kindText:
		text(string(*a.octets(id)))
	case kindDate:
		text(a.date(id).UTC().Format(time.RFC3339Nano))
	case kindAssertion:
		text(a.v.Assertion.String())
	case kindBool:
		text(strconv.FormatBool(a.v.DomainCertRevocationChecks == BoolTrue))
	case kindExtensions:
		l.List = make([]string, 0, len(a.v.Extensions))
		for _, e := range a.v.Extensions {
			name := string(e.Name)
			if e.Name == nil {
				name = strconv.FormatUint(e.SID, 10)
			}
			l.List = append(l.List, name)
		}
	case kindCertificates:
		l.List = make([]string, 0, len(a.r.AgentSignCert))
		for _, cert := range a.r.AgentSignCert {
			l.List = append(l.List, base64.StdEncoding.EncodeToString(cert))
			l.Certificates = append(l.Certificates, reportCertificate(cert))
		}
	default:
		l.binary(a, id, lim, depth)
	}
	return l
}

// binary reports a binary leaf and, where it holds one, what is in it.
func (l *ReportLeaf) binary(a artefact, id leafID, lim Limits, depth int) {
	value := a.octets(id)
	if id == leafNonce && a.v.NonceText != nil {
		// The string is what is compared, so it is shown as it came.
		s := string(a.v.NonceText)
		l.Text = &s
		return
	}
	l.Binary = reportBinary(*value)
	switch id {
	case leafPinnedDomainCert, leafProximityRegistrarCert, leafAgentProvidedProximityRegistrarCert:
		l.Certificates = []ReportCertificate{reportCertificate(*value)}
	case leafPriorSignedVoucherRequest, leafAgentSignedData:
		if depth > 1 {
			// What cannot be taken apart is shown as octets only.
			l.Inner, _ = inspect(*value, lim, depth-1)
		}
	}
}

// payloadOddities notes what published vouchers do differently.
func (r *Report) payloadOddities(a artefact, seen Sniffed) {
	v := a.v
	if seen.Name == nameRequestPRM {
		r.odd(OddStaleName)
	}
	if n := v.NonceText; n != nil && (len(n)%4 != 0 || bytes.ContainsAny(n, "-_")) {
		r.odd(OddNonceText)
	} else if len(n) == 32 && isHex(n) {
		r.odd(OddNonceHex)
	}
	if v.IDevIDIssuer != nil {
		if canonical, err := NormalizeIssuer(v.IDevIDIssuer); err != nil || !bytes.Equal(canonical, v.IDevIDIssuer) {
			r.odd(OddIssuerForm)
		}
	}
	if len(v.Unknown) > 0 {
		r.odd(OddUnknownLeaves)
	}
	if v.SerialNumber == nil || a.r != nil {
		return
	}
	if v.Nonce != nil && !v.ExpiresOn.IsZero() {
		r.odd(OddNonceAndExpiry)
	}
	if v.Nonce == nil && v.ExpiresOn.IsZero() {
		r.odd(OddNeverExpires)
	}
	if v.CreatedOn.IsZero() {
		r.odd(OddNoCreatedOn)
	}
	if v.Assertion == AssertionUnset {
		r.odd(OddNoAssertion)
	}
}

func isHex(b []byte) bool {
	for _, c := range b {
		if _, ok := hex4([]byte{'0', '0', '0', c}); !ok {
			return false
		}
	}
	return true
}
