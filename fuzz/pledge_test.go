package fuzz

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

// box is a device and a maker with fixed keys, the same in every process, so that
// a voucher among the seeds is good in all of them.
type box struct {
	idevid, maker, registrar pledge.Identity
	domain                   *ca.Authority
	nonce                    []byte // the first the device makes
	voucher                  []byte // the good answer to it
}

var boxMade = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// fixedKey is the P-256 key of a small number.
func fixedKey(t testing.TB, n uint64) crypto.Signer {
	t.Helper()
	scalar := make([]byte, 32)
	binary.BigEndian.PutUint64(scalar[24:], n)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	must(t, err)
	return key
}

func fixedAuthority(t testing.TB, name string, n uint64) *ca.Authority {
	t.Helper()
	a, err := ca.NewRoot(ca.RootParams{CommonName: name, Key: fixedKey(t, n), NotBefore: boxMade.AddDate(-1, 0, 0), NotAfter: boxMade.AddDate(9, 0, 0)},
		ca.Options{Rand: rand.NewChaCha8([32]byte{byte(n)})})
	must(t, err)
	return a
}

func newBox(t testing.TB) *box {
	t.Helper()
	maker, domain := fixedAuthority(t, "Maker", 1001), fixedAuthority(t, "Domain", 1002)
	b := &box{domain: domain}
	b.maker.Key, b.registrar.Key, b.idevid.Key = fixedKey(t, 1003), fixedKey(t, 1004), fixedKey(t, 1005)
	entity := ca.EntityParams{CommonName: "MASA", PublicKey: b.maker.Key.Public(), NotBefore: boxMade.AddDate(0, 0, -1), NotAfter: boxMade.AddDate(1, 0, 0)}
	cert, err := maker.VoucherSigner(entity)
	must(t, err)
	b.maker.Chain = []*x509.Certificate{cert, maker.Certificate()}
	entity.CommonName, entity.PublicKey, entity.Names.DNS = "Registrar", b.registrar.Key.Public(), []string{"registrar.example"}
	cert, err = domain.Registrar(entity)
	must(t, err)
	b.registrar.Chain = []*x509.Certificate{cert, domain.Certificate()}
	cert, err = maker.IDevID(ca.IDevIDParams{SerialNumber: "S-1", PublicKey: b.idevid.Key.Public(), NotBefore: boxMade})
	must(t, err)
	b.idevid.Chain = []*x509.Certificate{cert}
	_, err = b.pledge(t, &site{box: b, fuzzed: -1}).Join(context.Background(), siteURL)
	must(t, err)
	return b
}

const siteURL = "https://registrar.example"

func (b *box) pledge(t testing.TB, s *site) *pledge.Pledge {
	t.Helper()
	s.t, s.files, s.now = t, map[string][]byte{}, boxMade
	p, err := pledge.New(pledge.Config{IDevID: b.idevid, VoucherAnchors: b.maker.Chain[1:], Network: s, Storage: s, Clock: s, ClockTrusted: true,
		Rand: rand.NewChaCha8([32]byte{7}), Once: true})
	must(t, err)
	return p
}

// segments are what a device asks for, in order.
var segments = []string{"requestvoucher", "voucher_status", "cacerts", "csrattrs", "simpleenroll", "enrollstatus"}

// site is a registrar, good but for its first answers to one thing, and the rest
// of the device's world.
type site struct {
	t      testing.TB
	box    *box
	fuzzed int // index in segments
	reply  pledge.Reply
	given  int // how often it was given
	calls  int
	files  map[string][]byte
	now    time.Time
	slept  []time.Duration
}

func (s *site) Now() time.Time { return s.now }

func (s *site) Sleep(ctx context.Context, d time.Duration) error {
	s.now = s.now.Add(d)
	s.slept = append(s.slept, d)
	return ctx.Err()
}

// AfterFunc never calls f: calls over the network take no time.
func (s *site) AfterFunc(time.Duration, func()) (stop func() bool) {
	return func() bool { return true }
}

func (s *site) Get(name string) ([]byte, error) {
	if content, ok := s.files[name]; ok {
		return content, nil
	}
	return nil, fs.ErrNotExist
}

func (s *site) Put(name string, content []byte) error {
	s.files[name] = bytes.Clone(content)
	return nil
}

func (s *site) Delete(name string) error { delete(s.files, name); return nil }

func (s *site) Exchange(_ context.Context, c *pledge.Call) (*pledge.Reply, error) {
	if s.calls++; s.calls > 100 {
		s.t.Fatalf("the device does not stop asking for %s", c.Path)
	}
	body, err := c.Prepare(s.box.registrar.Chain)
	if err != nil {
		return nil, err
	}
	if c.Registrar != siteURL { // where a redirect led
		return nil, errors.New("no such host")
	}
	path, _, _ := strings.Cut(c.Path, "?")
	at := slices.Index(segments, path[strings.LastIndex(path, "/")+1:])
	if at < 0 {
		return &pledge.Reply{Status: 404}, nil
	}
	if at == s.fuzzed && s.given < 3 {
		s.given++
		reply := s.reply
		reply.Body = bytes.Clone(s.reply.Body)
		return &reply, nil
	}
	return s.good(segments[at], body), nil
}

func (s *site) good(segment string, body []byte) *pledge.Reply {
	switch segment {
	case "requestvoucher":
		return s.issue(body)
	case "cacerts":
		return s.certsOnly(s.box.domain.Certificate())
	case "csrattrs":
		return &pledge.Reply{Status: 204}
	case "simpleenroll":
		if len(body) == 0 || body[0] != 'M' { // no DER in base64: redirected here from another path
			return &pledge.Reply{Status: 400}
		}
		der, err := est.DecodeBody(nil, body)
		must(s.t, err)
		csr, err := est.ParseCSR(der, est.Limits{})
		must(s.t, err)
		public, err := ca.CheckPossession(csr)
		must(s.t, err)
		cert, err := s.box.domain.LDevID(ca.LDevIDParams{RawSubject: csr.Subject, PublicKey: public, NotBefore: boxMade, NotAfter: boxMade.AddDate(1, 0, 0)})
		if err != nil { // a template may ask for a subject that is none
			return &pledge.Reply{Status: 403}
		}
		return s.certsOnly(cert)
	}
	return &pledge.Reply{Status: 200}
}

func (s *site) certsOnly(cert *x509.Certificate) *pledge.Reply {
	der, err := est.AppendCertsOnly(nil, [][]byte{cert.Raw})
	must(s.t, err)
	return &pledge.Reply{Status: 200, ContentType: exchange.TypeCertsOnly, Body: est.AppendBody(nil, der)}
}

func (s *site) issue(body []byte) *pledge.Reply {
	if len(body) == 0 || body[0] != '0' { // no DER: redirected here from another path
		return &pledge.Reply{Status: 400}
	}
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	must(s.t, err)
	opener := artefact.Opener{Verifier: artefact.Verifying(verifier)}
	request, err := opener.Request(context.Background(), codec.FormatCMS, body)
	must(s.t, err)
	signer, err := sign.NewSigner(sign.ES256, s.box.maker.Key, sign.Options{})
	must(s.t, err)
	sealer, err := artefact.NewSealer(artefact.SealerParams{Format: codec.FormatCMS, Signer: artefact.Signing(signer), Chain: s.box.maker.Chain})
	must(s.t, err)
	voucher, err := sealer.Voucher(context.Background(), &codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: boxMade, SerialNumber: request.Leaves.SerialNumber,
		Nonce: request.Leaves.Nonce, NonceText: request.Leaves.NonceText, PinnedDomainCert: s.box.domain.Certificate().Raw}, false)
	must(s.t, err)
	if s.fuzzed < 0 {
		s.box.nonce, s.box.voucher = bytes.Clone(request.Leaves.Nonce), voucher
	}
	return &pledge.Reply{Status: 200, ContentType: codec.FormatCMS.MediaType(), Body: voucher}
}

// FuzzPledgeReply gives a device one answer that a hostile registrar made up, at
// any place of the protocol. The device must end in order: joined, with a state
// that is whole and under the maker's voucher, or not, with nothing kept.
func FuzzPledgeReply(f *testing.F) {
	b := newBox(f)
	good := &site{t: f, box: b, fuzzed: 99}
	attributes, err := (&est.CSRAttrs{Keys: []est.Key{est.P384}, ChallengePassword: true}).Append(nil)
	must(f, err)
	f.Add(byte(0), 200, codec.FormatCMS.MediaType(), "", "", b.voucher)
	f.Add(byte(0), 202, "", "", "30", []byte("not yet"))
	f.Add(byte(0), 202, "", "", "Mon, 04 May 2026 12:00:30 GMT", []byte(nil))
	f.Add(byte(0), 307, "", "https://elsewhere.example:8443/x?y", "", []byte(nil))
	f.Add(byte(0), 307, "", "/.well-known/brski/requestvoucher", "", []byte(nil))
	f.Add(byte(0), 404, "text/plain; charset=utf-8", "", "", []byte("no\x1b[2J"))
	f.Add(byte(2), 200, exchange.TypePKCS7, "", "", good.good("cacerts", nil).Body)
	f.Add(byte(3), 200, exchange.TypeCSRAttrs, "", "", est.AppendBody(nil, attributes))
	f.Add(byte(3), 200, exchange.TypeCSRAttrs, "", "", []byte("MAA="))
	f.Add(byte(4), 200, exchange.TypeCertsOnly, "", "", good.good("cacerts", nil).Body)
	f.Add(byte(4), 202, "", "", "99999999999999999999", []byte(nil))
	f.Add(byte(5), 500, "", "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, segment byte, code int, contentType, location, retryAfter string, body []byte) {
		s := &site{box: b, fuzzed: int(segment) % len(segments),
			reply: pledge.Reply{Status: code, ContentType: contentType, Location: location, RetryAfter: retryAfter, Body: body}}
		p := b.pledge(t, s)
		joined, err := p.Join(context.Background(), siteURL)
		for _, d := range s.slept {
			if d < time.Second || d > pledge.RetryWait {
				t.Fatalf("it waited %v", d)
			}
		}
		if err != nil {
			refused(t, s, err)
			return
		}
		had, err := pledge.Load(s)
		must(t, err)
		if had == nil || !had.LDevID.Chain[0].Equal(joined.LDevID.Chain[0]) {
			t.Fatal("joined, and not stored")
		}
		must(t, sign.MatchCertificate(had.LDevID.Key, had.LDevID.Chain[0]))
		owned(t, b, had.Voucher)
	})
}

// refused holds that a device that did not join kept nothing, and says why in
// types that are documented and text that is one line.
func refused(t *testing.T, s *site, err error) {
	t.Helper()
	var failed *pledge.JoinError
	if !errors.As(err, &failed) {
		t.Fatalf("error of type %T: %v", err, err)
	}
	for _, a := range failed.Attempts {
		if len(a.Checks) == 0 || len(a.Checks) > decision.MaxTrail || a.Err == nil {
			t.Fatalf("an attempt without a reason: %+v", a)
		}
	}
	if len(s.files) != 0 {
		t.Fatalf("%d files are left", len(s.files))
	}
}

// owned holds that a voucher is the one its maker made.
func owned(t *testing.T, b *box, voucher []byte) {
	t.Helper()
	var decoder codec.EnvelopeDecoder
	var got, want codec.Envelope
	must(t, decoder.DecodeCMS(voucher, &got))
	var other codec.EnvelopeDecoder
	must(t, other.DecodeCMS(b.voucher, &want))
	if !bytes.Equal(got.Payload, want.Payload) {
		t.Fatal("imprinted on a voucher that the maker did not make")
	}
}

// FuzzPledgeVoucher holds that the voucher the maker made is the only one that is
// ever accepted, whatever the envelope around it.
func FuzzPledgeVoucher(f *testing.F) {
	seeds(f, "cms", "jws")
	vectorSeeds(f, "voucher_00-D0-E5-F2-00-02.cms.der")
	b := newBox(f)
	f.Add(b.voucher)
	f.Fuzz(func(t *testing.T, body []byte) {
		var trail decision.Trail
		var imprint *pledge.Imprint
		var err error
		p := b.pledge(t, &site{box: b, fuzzed: 99})
		frugal(t, len(body), func() {
			imprint, err = p.Verify(context.Background(), &pledge.Received{Body: body, Nonce: b.nonce, Peers: b.registrar.Chain, Now: boxMade}, &trail)
		})
		if err != nil {
			if !isA[*decision.Refusal](err) || imprint != nil {
				t.Fatalf("error of type %T: %v", err, err)
			}
			if checks := trail.Checks(); len(checks) == 0 || checks[len(checks)-1].OK {
				t.Fatalf("the trail does not say why: %+v", checks)
			}
			return
		}
		if len(body) > exchange.MaxPledgeRequest {
			t.Fatalf("%d octets were accepted", len(body))
		}
		owned(t, b, body)
	})
}

// FuzzOrigin holds that the name of a registrar has one form.
func FuzzOrigin(f *testing.F) {
	for _, text := range []string{"https://r.example", "HTTPS://R.example:443/", "https://[fe80::1%25eth0]:8443", "https://192.0.2.1:1", "http://x", "https://u@x", "https://x:"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		origin, err := pledge.Origin(text)
		if err != nil {
			if origin != "" {
				t.Fatalf("%q is refused as %q", text, origin)
			}
			return
		}
		again, err := pledge.Origin(origin)
		if err != nil || again != origin {
			t.Fatalf("%q becomes %q, and then %q, %v", text, origin, again, err)
		}
		u, err := url.Parse(origin + "/.well-known/brski/requestvoucher")
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "/.well-known/brski/requestvoucher" {
			t.Fatalf("%q becomes %q: %+v, %v", text, origin, u, err)
		}
	})
}
