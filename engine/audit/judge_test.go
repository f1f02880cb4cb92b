package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
)

func TestJudge(t *testing.T) {
	nonce, other := "n", "other"
	event := func(domain string, nonce *string, day int) audit.ResponseEvent {
		return audit.ResponseEvent{Date: start.AddDate(0, 0, day), DomainID: []byte(domain), Nonce: nonce, Assertion: "logged"}
	}
	ids := func(names ...string) (list [][]byte) {
		for _, n := range names {
			list = append(list, []byte(n))
		}
		return list
	}
	ours, known := event("ours", &nonce, 5), event("known", &nonce, 1)
	base := audit.Policy{Ours: ids("ours", "ours too"), Known: ids("known")}
	with := func(f func(p *audit.Policy)) audit.Policy { p := base; f(&p); return p }
	for name, c := range map[string]struct {
		events     []audit.ResponseEvent
		truncation audit.Truncation
		policy     audit.Policy
		want       []audit.Reason // of the findings
		bad        audit.Reason   // the first that is bad
		good       bool
	}{
		"all ours": {[]audit.ResponseEvent{ours, event("ours too", &nonce, 2)}, audit.Truncation{}, base,
			[]audit.Reason{audit.OurDomain, audit.OurDomain}, 0, true},
		"ours without nonce": {[]audit.ResponseEvent{event("ours", nil, 2)}, audit.Truncation{}, base,
			[]audit.Reason{audit.OurDomain}, 0, true},
		"a known one before": {[]audit.ResponseEvent{ours, known}, audit.Truncation{}, base,
			[]audit.Reason{audit.OurDomain, audit.KnownDomain}, 0, true},
		"one nobody knows": {[]audit.ResponseEvent{ours, event("stranger", &nonce, 1), known}, audit.Truncation{}, base,
			[]audit.Reason{audit.OurDomain, audit.UnknownDomain, audit.KnownDomain}, audit.UnknownDomain, false},
		"a stranger without nonce": {[]audit.ResponseEvent{event("stranger", nil, 1)}, audit.Truncation{},
			with(func(p *audit.Policy) { p.AllowForeignNonceless = true }), []audit.Reason{audit.UnknownDomain}, audit.UnknownDomain, false},
		"a known one without nonce": {[]audit.ResponseEvent{ours, event("known", nil, 1)}, audit.Truncation{}, base,
			[]audit.Reason{audit.OurDomain, audit.ForeignNonceless}, audit.ForeignNonceless, false},
		"which is allowed": {[]audit.ResponseEvent{ours, event("known", nil, 1)}, audit.Truncation{},
			with(func(p *audit.Policy) { p.AllowForeignNonceless = true }), []audit.Reason{audit.OurDomain, audit.KnownDomain}, 0, true},
		"a known one after it was bought": {[]audit.ResponseEvent{ours, known}, audit.Truncation{},
			with(func(p *audit.Policy) { p.KnownUntil = start }), []audit.Reason{audit.OurDomain, audit.LateForeign}, audit.LateForeign, false},
		"a known one before that": {[]audit.ResponseEvent{ours, known}, audit.Truncation{},
			with(func(p *audit.Policy) { p.KnownUntil = start.AddDate(0, 0, 1) }), []audit.Reason{audit.OurDomain, audit.KnownDomain}, 0, true},
		"a nonce we did not send": {[]audit.ResponseEvent{ours, event("ours", &other, 1)}, audit.Truncation{},
			with(func(p *audit.Policy) { p.Sent = func(n string) bool { return n == nonce } }),
			[]audit.Reason{audit.OurDomain, audit.UnknownNonce}, audit.UnknownNonce, false},
		"the voucher is shown": {[]audit.ResponseEvent{ours}, audit.Truncation{},
			with(func(p *audit.Policy) { p.Voucher = &audit.Voucher{DomainID: []byte("ours"), Nonce: &nonce} }), []audit.Reason{audit.OurDomain}, 0, true},
		"with another nonce": {[]audit.ResponseEvent{ours}, audit.Truncation{},
			with(func(p *audit.Policy) { p.Voucher = &audit.Voucher{DomainID: []byte("ours"), Nonce: &other} }),
			[]audit.Reason{audit.OurDomain, audit.MissingVoucher}, audit.MissingVoucher, false},
		"with none": {[]audit.ResponseEvent{ours}, audit.Truncation{},
			with(func(p *audit.Policy) { p.Voucher = &audit.Voucher{DomainID: []byte("ours")} }),
			[]audit.Reason{audit.OurDomain, audit.MissingVoucher}, audit.MissingVoucher, false},
		"nothing is shown": {nil, audit.Truncation{}, with(func(p *audit.Policy) { p.Voucher = &audit.Voucher{DomainID: []byte("ours")} }),
			[]audit.Reason{audit.MissingVoucher}, audit.MissingVoucher, false},
		"arbitrary truncation is noted": {[]audit.ResponseEvent{ours}, audit.Truncation{Arbitrary: 2}, base,
			[]audit.Reason{audit.OurDomain, audit.ArbitraryTruncation}, 0, true},
		"or refused": {[]audit.ResponseEvent{ours}, audit.Truncation{Arbitrary: 2}, with(func(p *audit.Policy) { p.RefuseArbitrary = true }),
			[]audit.Reason{audit.OurDomain, audit.ArbitraryTruncation}, audit.ArbitraryTruncation, false},
		"duplicates are noted": {[]audit.ResponseEvent{ours}, audit.Truncation{NoncedDuplicates: 1, NoncelessDuplicates: 2}, base,
			[]audit.Reason{audit.OurDomain, audit.DuplicatesTruncation}, 0, true},
		"no policy": {[]audit.ResponseEvent{ours}, audit.Truncation{}, audit.Policy{},
			[]audit.Reason{audit.UnknownDomain}, audit.UnknownDomain, false},
	} {
		v := audit.Judge(&audit.Response{Version: 1, Events: c.events, Truncation: c.truncation}, c.policy)
		var reasons []audit.Reason
		for i, f := range v.Findings {
			reasons = append(reasons, f.Reason)
			if want := min(i, len(c.events)); f.Text == "" || f.Event != want && f.Event != -1 {
				t.Errorf("%s: finding %+v", name, f)
			}
		}
		if v.Good != c.good || !bytes.Equal(octets(reasons), octets(c.want)) {
			t.Errorf("%s: good %v, reasons %v, want %v, %v", name, v.Good, reasons, c.good, c.want)
		}
		if bad := v.FirstBad(); (bad == nil) != c.good || bad != nil && bad.Reason != c.bad {
			t.Errorf("%s: the first that is bad is %+v", name, bad)
		}
	}
}

func octets(reasons []audit.Reason) (out []byte) {
	for _, r := range reasons {
		out = append(out, byte(r))
	}
	return out
}

func TestFindingsNameTheDomainAndTheDate(t *testing.T) {
	r := &audit.Response{Version: 1, Events: []audit.ResponseEvent{{Date: start.In(time.FixedZone("", 3600)), DomainID: []byte{1, 2}}}}
	v := audit.Judge(r, audit.Policy{})
	f := v.FirstBad()
	if f == nil || !strings.Contains(f.Text, "AQI=") || !strings.Contains(f.Text, "2026-11-27T08:00:00Z") {
		t.Errorf("finding %+v", f)
	}
}

func TestDomainIDsOfPublishedCertificates(t *testing.T) {
	for name, want := range map[string]string{
		"rfc8995/ownerca_secp384r1.crt": "uaX2yxHhB6RJLKcIxnwQvIezdCY=",
		"rfc8995/jrc_prime256v1.crt":    "Oy6w2vS8ar8m/FtEHuzs7sl7LSD3pW9yTCgCecoIL3M=",
		"jws-voucher/registrar-ca.crt":  "asnNUUuHesxIA5pQ2TWKOIRLC1c=",
	} {
		cert := vectors.Certificate(t, "http", name)
		id := audit.DomainID(cert)
		if got := base64.StdEncoding.EncodeToString(id); got != want {
			t.Errorf("%s: domainID %s, want %s", name, got, want)
		}
		if !audit.DomainIDMatches(cert, id) || audit.DomainIDMatches(cert, id[1:]) || audit.DomainIDMatches(cert, nil) {
			t.Errorf("%s does not match its own domainID alone", name)
		}
	}
	// A MASA that computes the SHA-1 of the key where there is no identifier.
	sha1 := openssl.New(t).Run("x509", "-in", filepath.Join(vectors.Folder(t), "http", "rfc8995/jrc_prime256v1.crt"), "-noout", "-ocspid")
	_, line, ok := strings.Cut(sha1, "Public key OCSP hash: ")
	if !ok {
		t.Fatalf("openssl says %s", sha1)
	}
	id, err := hex.DecodeString(strings.TrimSpace(strings.Split(line, "\n")[0]))
	if err != nil {
		t.Fatal(err)
	}
	if !audit.DomainIDMatches(vectors.Certificate(t, "http", "rfc8995/jrc_prime256v1.crt"), id) {
		t.Errorf("the SHA-1 of the key, %x, does not match", id)
	}
}
