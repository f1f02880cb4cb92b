package fuzz

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/testdata/kit"
)

func judgeCSR(t testing.TB, _ *kit.Index, _ *kit.Case, b []byte) verdict {
	csr, err := est.ParseCSR(b, est.Limits{})
	if err != nil {
		return verdict{check: "request"}
	}
	if _, err := ca.CheckPossession(csr); err != nil {
		return verdict{check: "signature"}
	}
	return verdict{}
}

func judgeCSRAttrs(t testing.TB, _ *kit.Index, _ *kit.Case, b []byte) verdict {
	if _, err := est.ParseCSRAttrs(b, est.Limits{}); err != nil {
		return verdict{check: "csrattrs"}
	}
	return verdict{}
}

func judgeCertsOnly(t testing.TB, _ *kit.Index, c *kit.Case, b []byte) verdict {
	certs, err := est.ParseCertsOnly(b, est.Limits{})
	if err != nil {
		return verdict{check: "certs-only"}
	}
	if len(certs) != c.Certificates {
		t.Errorf("%d certificates, want %d", len(certs), c.Certificates)
	}
	return verdict{}
}

func judgeAuditLog(t testing.TB, _ *kit.Index, c *kit.Case, b []byte) verdict {
	r, err := audit.ParseResponse(b, audit.Limits{})
	if err != nil {
		return verdict{check: "answer"}
	}
	if len(r.Events) != c.Events {
		t.Errorf("%d events, want %d", len(r.Events), c.Events)
	}
	verifier, err := audit.NewVerifier(string(readKit(t, "audit/log.pub")))
	must(t, err)
	switch _, err = r.VerifyLog(verifier, kitSerial(t)); {
	case errors.Is(err, audit.ErrNoProof):
		if c.Helper != "" {
			return verdict{check: "proof"}
		}
	case err != nil:
		return verdict{check: "proof"}
	}
	return verdict{}
}

func judgeLogKey(t testing.TB, _ *kit.Index, c *kit.Case, b []byte) verdict {
	var err error
	if strings.HasSuffix(c.File, ".key") {
		_, err = audit.NewSigner(string(b))
	} else {
		_, err = audit.NewVerifier(string(b))
	}
	if err != nil {
		return verdict{check: "key"}
	}
	return verdict{}
}

// kitDevice is what the kit's requests are about.
func kitDevice(t testing.TB) (pledge *x509.Certificate, issuer []byte) {
	t.Helper()
	var e codec.Envelope
	d := codec.EnvelopeDecoder{Request: true}
	must(t, d.Decode(readKit(t, "cms/request-pledge.vcj"), &e))
	pledge, err := x509.ParseCertificate(e.Certificates[0])
	must(t, err)
	return pledge, pledge.AuthorityKeyId
}

func kitSerial(t testing.TB) string {
	pledge, _ := kitDevice(t)
	return pledge.Subject.SerialNumber
}

// What the roles send is what it was: octet for octet, put together by the kit
// without their encoders.
func TestEncodersWriteTheKitsGoodMessages(t *testing.T) {
	again := map[string]func(*testing.T, []byte) []byte{kit.KindRequest: requestAgain, kit.KindCSR: csrAgain, kit.KindCSRAttrs: csrAttrsAgain, kit.KindCertsOnly: certsOnlyAgain}
	written := map[string]int{}
	for _, c := range kitIndex(t).Cases {
		write := again[c.Kind]
		if write == nil || !c.Accept || strings.Contains(c.File, "/form-") {
			continue
		}
		written[c.Kind]++
		t.Run(c.File, func(t *testing.T) {
			want := readKit(t, c.File)
			if got := write(t, want); !bytes.Equal(got, want) {
				t.Errorf("written as\n%x, the kit has\n%x", got, want)
			}
		})
	}
	for kind := range again {
		if written[kind] == 0 {
			t.Errorf("the kit has no %s", kind)
		}
	}
}

// requestAgain writes a voucher-request anew from what it holds and its signature.
func requestAgain(t *testing.T, b []byte) []byte {
	t.Helper()
	return encodedAgain(t, b, func(e *codec.Envelope) []byte {
		var d codec.PayloadDecoder
		var q codec.VoucherRequest
		read, write := d.RequestJSON, codec.AppendRequestJSON
		if e.Format == codec.FormatCOSE {
			read, write = d.RequestCBOR, codec.AppendRequestCBOR
		}
		must(t, read(e.Payload, &q))
		payload, err := write(nil, &q)
		must(t, err)
		return payload
	})
}

func csrAgain(t *testing.T, b []byte) []byte {
	t.Helper()
	csr, err := est.ParseCSR(b, est.Limits{})
	must(t, err)
	info, err := est.AppendCSRInfo(nil, est.CSRParams{Subject: csr.Subject, PublicKey: csr.PublicKey, Extensions: csr.Extensions, ChallengePassword: csr.ChallengePassword})
	must(t, err)
	algorithm := []byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02} // ecdsa-with-SHA256
	out, err := est.AppendCSR(nil, info, algorithm, csr.Signature)
	must(t, err)
	return out
}

func csrAttrsAgain(t *testing.T, b []byte) []byte {
	t.Helper()
	attrs, err := est.ParseCSRAttrs(b, est.Limits{})
	must(t, err)
	out, err := attrs.Append(nil)
	must(t, err)
	return out
}

func certsOnlyAgain(t *testing.T, b []byte) []byte {
	t.Helper()
	certs, err := est.ParseCertsOnly(b, est.Limits{})
	must(t, err)
	slices.Reverse(certs) // their order is that of DER, whatever they come in
	out, err := est.AppendCertsOnly(nil, certs)
	must(t, err)
	return out
}

// salts are those of the kit's log: 16 octets of the number of the event.
type salts struct{ n byte }

// Read gives the next salt.
func (s *salts) Read(p []byte) (int, error) {
	s.n++
	for i := range p {
		p[i] = s.n
	}
	return len(p), nil
}

// TestTheLogAnswersWithTheKitsOctets: a record that is in a log cannot be written
// in another form, and neither may the answer, which others parse.
func TestTheLogAnswersWithTheKitsOctets(t *testing.T) {
	signer, err := audit.NewSigner(string(readKit(t, "audit/log.key")))
	must(t, err)
	log, err := audit.New(signer, new(salts))
	must(t, err)
	if got := log.Signer().VerifierKey() + "\n"; got != string(readKit(t, "audit/log.pub")) {
		t.Errorf("the verifier key is %s", got)
	}
	at := func(text string) time.Time {
		date, err := time.Parse(time.RFC3339, text)
		must(t, err)
		return date
	}
	digest := func(name string) []byte { sum := sha256.Sum256(readKit(t, name)); return sum[:] }
	pledge, issuer := kitDevice(t)
	id := device.ID{IssuerKeyID: string(issuer), Serial: pledge.Subject.SerialNumber}
	other := device.ID{IssuerKeyID: string(issuer), Serial: "JADA999999999"}
	block, _ := pem.Decode(readKit(t, "certs/owner-ca.pem"))
	owner, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	domain := audit.DomainID(owner)
	created := at("2026-11-20T00:00:00Z")
	events := []audit.Event{
		{Kind: audit.VoucherIssued, Date: at("2026-11-24T10:00:05Z"), Assertion: codec.AssertionProximity, Device: id, DomainID: domain, Nonce: nonceText(t),
			RequestDigest: digest("cms/good-request-registrar.vcj"), VoucherDigest: digest("cms/good-nonced.vcj"), Customer: "acme"},
		{Kind: audit.VoucherIssued, Date: at("2026-11-25T08:00:00Z"), Assertion: codec.AssertionVerified, Device: other, DomainID: domain, Customer: "acme"},
		{Kind: audit.RunImported, Date: at("2026-11-26T12:30:00Z"), Assertion: codec.AssertionVerified, Manifest: runManifest(t), DomainIDs: [][]byte{domain},
			CreatedOn: created, ExpiresOn: created.AddDate(1, 0, 0), Customer: "acme", Run: "lot-7", Count: 1000},
	}
	db := state.NewMemory()
	defer func() { must(t, db.Close()) }()
	for i := range events {
		must(t, db.Update(context.Background(), func(tx state.Tx) error {
			_, err := log.Append(tx, &events[i])
			return err
		}))
	}
	must(t, db.View(context.Background(), func(r state.Reader) error {
		got, err := log.AppendResponse(nil, r, audit.ResponseParams{Device: id, Runs: []audit.RunRef{{Index: 2}}})
		if want := readKit(t, "audit/good-log.json"); err == nil && !bytes.Equal(got, want) {
			t.Errorf("the log answers\n%s\nthe kit has\n%s", got, want)
		}
		return err
	}))
}

// nonceText is that of the kit's requests, as they have it.
func nonceText(t *testing.T) *string {
	t.Helper()
	var e codec.Envelope
	var q codec.VoucherRequest
	d := codec.EnvelopeDecoder{Request: true}
	must(t, d.Decode(readKit(t, "cms/request-pledge.vcj"), &e))
	must(t, new(codec.PayloadDecoder).RequestJSON(e.Payload, &q))
	text := string(q.NonceText)
	return &text
}

// runManifest is the root of the manifest of the kit's run, out of its record.
func runManifest(t *testing.T) []byte {
	t.Helper()
	evidence, err := audit.VerifyFiles(mustVerifier(t), readKit(t, "audit/good-log.json"), nil, nil)
	must(t, err)
	for _, e := range evidence.Entries {
		if e.Event.Kind == audit.RunImported {
			return e.Event.Manifest
		}
	}
	t.Fatal("there is no run in the log")
	return nil
}

func mustVerifier(t *testing.T) *audit.Verifier {
	t.Helper()
	v, err := audit.NewVerifier(string(readKit(t, "audit/log.pub")))
	must(t, err)
	return v
}
