package pledge_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/pledge"
)

// status reads a status message and returns "true", or "false REASON".
func status(t testing.TB, body []byte) string {
	t.Helper()
	var m struct {
		Version *int
		Status  *bool
		Reason  string
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Version == nil || *m.Version != 1 || m.Status == nil {
		t.Fatalf("status message %s: %v", body, err)
	}
	return strings.TrimSpace(fmt.Sprint(*m.Status, " ", m.Reason))
}

func TestAJoinFromTheBox(t *testing.T) {
	for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
		for _, trusted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v, trusted clock %v", format, trusted), func(t *testing.T) {
				w := newWorld(t)
				w.cfg.Format, w.cfg.ClockTrusted = format, trusted
				joined, err := w.join()
				if err != nil {
					t.Fatal(err)
				}
				r := w.registrar
				want := []string{"requestvoucher", "voucher_status:true", "cacerts", "csrattrs", "simpleenroll", "enrollstatus:true"}
				if !slices.Equal(r.calls, want) {
					t.Errorf("calls %v, want %v", r.calls, want)
				}
				if one := r.names[0]; !slices.Equal(r.names[:5], []string{one, one, one, one, one}) || r.names[5] == one {
					t.Errorf("connections %v: one for all but the last", r.names)
				}
				if !r.clients["simpleenroll"].Equal(w.idevid.Chain[0]) || !r.clients["enrollstatus"].Equal(joined.LDevID.Chain[0]) {
					t.Error("authenticated as somebody else")
				}
				for segment, want := range map[string][2]string{ // Content-Type and Accept
					"requestvoucher": {format.MediaType(), format.MediaType()}, "voucher_status": {"application/json", "*/*"},
					"cacerts": {"", "application/pkcs7-mime"}, "csrattrs": {"", "application/csrattrs"}, "simpleenroll": {"application/pkcs10", "application/pkcs7-mime"},
				} {
					if c := r.last[segment]; c.ContentType != want[0] || c.Accept != want[1] {
						t.Errorf("%s is sent with Content-Type %q and Accept %q", segment, c.ContentType, c.Accept)
					}
				}
				isJoined(t, w, joined)
				request := open(t, format, r.bodies["requestvoucher"][0])
				l := &request.Leaves
				if string(l.SerialNumber) != serial || len(l.Nonce) != 16 || l.Assertion != codec.AssertionProximity || l.CreatedOn.IsZero() == trusted ||
					string(l.ProximityRegistrarCert) != string(r.chain[0].Raw) || !request.Signer.Equal(w.idevid.Chain[0]) {
					t.Errorf("voucher-request %+v by %q", l, request.Signer.Subject)
				}
				if joined.Attempt == nil || !slices.ContainsFunc(joined.Attempt.Checks, func(c decision.Check) bool { return c.Name == "pin" && c.OK }) {
					t.Errorf("checks %+v", joined.Attempt)
				}
			})
		}
	}
}

// isJoined holds that what was returned is what is stored, and whole.
func isJoined(t *testing.T, w *world, joined *pledge.Joined) {
	t.Helper()
	had, err := pledge.Load(w.storage)
	if err != nil || had == nil {
		t.Fatalf("stored: %+v, %v", had, err)
	}
	if !had.LDevID.Chain[0].Equal(joined.LDevID.Chain[0]) || had.Registrar != joined.Registrar || string(had.Voucher) != string(joined.Voucher) {
		t.Error("another state is stored than was returned")
	}
	extension := map[string]string{"cms": "vcj", "jws": "vjj"}[had.Format]
	if want := "cacerts.pem ldevid.key ldevid.pem state.json voucher." + extension; w.storage.names() != want {
		t.Errorf("files %s, want %s", w.storage.names(), want)
	}
	roots := x509.NewCertPool()
	for _, c := range had.CACerts {
		roots.AddCert(c)
	}
	if _, err := had.LDevID.Chain[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: epoch.Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if got := had.LDevID.Chain[0].Subject.SerialNumber; got != serial {
		t.Errorf("LDevID of %q", got)
	}
}

func TestAJoinedDeviceStaysSilent(t *testing.T) {
	w := newWorld(t)
	if _, err := w.join(); err != nil {
		t.Fatal(err)
	}
	before, files := len(w.registrar.calls), cloneFiles(w.storage)
	again, err := w.join()
	if err != nil || !again.Already {
		t.Fatalf("%+v, %v", again, err)
	}
	if len(w.registrar.calls) != before {
		t.Errorf("calls %v", w.registrar.calls[before:])
	}
	same(t, w.storage.files, files)
	if err := pledge.Reset(w.storage); err != nil {
		t.Fatal(err)
	}
	if len(w.storage.files) != 0 {
		t.Errorf("left after a reset: %s", w.storage.names())
	}
	if fresh, err := w.join(); err != nil || fresh.Already {
		t.Fatalf("after a reset: %+v, %v", fresh, err)
	}
}

func same(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for name := range want {
		if string(got[name]) != string(want[name]) {
			t.Errorf("%s changed", name)
		}
	}
}

func TestStorageOfAnotherDeviceIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	if _, err := w.join(); err != nil {
		t.Fatal(err)
	}
	other := newWorld(t)
	other.cfg.SerialFrom = codec.SerialFromSubject
	key := newKey(t)
	cert := must[*x509.Certificate](t)(other.maker.authority.IDevID(idevidParams("another", key)))
	other.cfg.IDevID = pledge.Identity{Chain: []*x509.Certificate{cert}, Key: key}
	other.cfg.Storage = w.storage
	files := cloneFiles(w.storage)
	if _, err := other.join(); !decision.Is(err, pledge.ForeignState) {
		t.Errorf("%v", err)
	}
	same(t, w.storage.files, files)
}

// What a pledge does on bad input: each row, with the kind of
// refusal and what the registrar is told.
func TestBadInput(t *testing.T) {
	refused := func(code int) func(*world) {
		return func(w *world) {
			w.registrar.answers["requestvoucher"] = func(*pledge.Call, []byte) *pledge.Reply {
				return &pledge.Reply{Status: code, ContentType: "text/plain; charset=utf-8", Body: []byte("no\x1b[31m")}
			}
		}
	}
	edit := func(change func(*codec.Voucher)) func(*world) {
		return func(w *world) { w.registrar.voucher = change }
	}
	rows := []struct {
		name  string
		setup func(*world)
		kind  decision.Kind
		told  string // calls after requestvoucher
	}{
		{"wrong Content-Type", answer(func(r *pledge.Reply) { r.ContentType = "application/json" }), pledge.WrongAnswer, ""},
		{"over-long body", answer(func(r *pledge.Reply) { r.Body = make([]byte, 65537) }), decision.TooLarge, ""},
		{"401", refused(401), pledge.RegistrarRefused, ""},
		{"403", refused(403), pledge.RegistrarRefused, ""},
		{"404", refused(404), pledge.RegistrarRefused, ""},
		{"406", refused(406), pledge.RegistrarRefused, ""},
		{"415", refused(415), pledge.RegistrarRefused, ""},
		{"500", refused(500), pledge.RegistrarRefused, ""},
		{"503", refused(503), pledge.RegistrarRefused, ""},
		{"a status nobody knows", refused(299), pledge.RegistrarRefused, ""},
		{"empty voucher", answer(func(r *pledge.Reply) { r.Body = nil }), decision.Empty, "voucher_status:false the voucher is empty"},
		{"no voucher", answer(func(r *pledge.Reply) { r.Body = []byte("0\x05\x01") }), decision.Malformed, "voucher_status:false the voucher cannot be read"},
		{"base64 of a voucher", answer(func(r *pledge.Reply) { r.Body = []byte("MIIBojCCAUmgAwIBAgIUXPpv") }), decision.Wrapped, "voucher_status:false the voucher is in the wrong encoding"},
		{"bad signature", answer(func(r *pledge.Reply) { r.Body[len(r.Body)-1] ^= 1 }), decision.BadSignature, "voucher_status:false the voucher's signature is not accepted"},
		{"serial number", edit(func(v *codec.Voucher) { v.SerialNumber = []byte("JADA123456788") }), decision.SerialMismatch, "voucher_status:false the voucher is for another device"},
		{"nonce", edit(func(v *codec.Voucher) { v.Nonce, v.NonceText = make([]byte, 16), nil }), decision.NonceMismatch, "voucher_status:false the voucher answers another request"},
		{"assertion refused", edit(func(v *codec.Voucher) { v.Assertion = codec.AssertionAgentProximity }), pledge.AssertionRefused, "voucher_status:false the assertion is not acceptable"},
		{"expired", edit(func(v *codec.Voucher) {
			v.Nonce, v.NonceText, v.CreatedOn, v.ExpiresOn = nil, nil, epoch.Add(-time.Hour), epoch.Add(-10*time.Minute)
		}), pledge.VoucherUntimely, "voucher_status:false the voucher is not valid now"},
		{"chain not under pin", edit(func(v *codec.Voucher) { v.PinnedDomainCert = nil; v.PinnedDomainPubkSHA256 = make([]byte, 32) }), pledge.NotUnderPin, "voucher_status:false the voucher is for another domain"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			row.setup(w)
			_, err := w.join()
			w.refuses(t, err, row.kind)
			if got := strings.Join(w.registrar.calls[1:], " "); got != row.told {
				t.Errorf("told %q, want %q", got, row.told)
			}
			for _, name := range w.registrar.names {
				if name != w.registrar.names[0] {
					t.Errorf("connections %v: a failure is reported over the same one", w.registrar.names)
				}
			}
		})
	}
}

// answer changes the good answer to a voucher-request.
func answer(change func(*pledge.Reply)) func(*world) {
	return func(w *world) {
		w.registrar.answers["requestvoucher"] = func(c *pledge.Call, body []byte) *pledge.Reply {
			r := w.registrar.requestVoucher(c, body)
			change(r)
			return r
		}
	}
}

// refuses holds that a join ended in a refusal of a kind, with nothing kept.
func (w *world) refuses(t *testing.T, err error, kind decision.Kind) {
	t.Helper()
	var failed *pledge.JoinError
	if !errors.As(err, &failed) || !decision.Is(err, kind) || failed.Outcome() != pledge.Refused {
		t.Errorf("%v, want %s", err, kind)
	}
	if strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("the error has control characters: %q", err)
	}
	if len(w.storage.files) != 0 {
		t.Errorf("left behind: %s", w.storage.names())
	}
	if had, err := pledge.Load(w.storage); had != nil || err != nil {
		t.Errorf("stored: %+v, %v", had, err)
	}
	if n := len(failed.Attempts); n > 0 {
		checks := failed.Attempts[n-1].Checks
		if !slices.ContainsFunc(checks, func(c decision.Check) bool { return !c.OK && c.Kind == kind }) {
			t.Errorf("the trail does not say why: %+v", checks)
		}
	}
}

func TestUnknownMembersAreIgnored(t *testing.T) {
	w := newWorld(t)
	w.registrar.voucher = func(v *codec.Voucher) {
		v.Unknown = []codec.UnknownLeaf{{Encoding: codec.EncodingJSON, Name: []byte("vendor-leaf"), Value: []byte(`{"a":[1]}`)}}
	}
	if _, err := w.join(); err != nil {
		t.Error(err)
	}
}

func TestWaitingForADecision(t *testing.T) {
	for _, c := range []struct {
		field string
		wait  time.Duration
	}{
		{"", 60 * time.Second}, {"7", 7 * time.Second}, {"0", time.Second}, {"61", 60 * time.Second}, {"4294967296", 60 * time.Second}, {"-5", 60 * time.Second},
		{"soon", 60 * time.Second}, {epoch.Add(20 * time.Second).Format("Mon, 02 Jan 2006 15:04:05 GMT"), 20 * time.Second},
		{epoch.AddDate(5, 0, 0).Format("Mon, 02 Jan 2006 15:04:05 GMT"), 60 * time.Second}, {epoch.AddDate(-1, 0, 0).Format("Mon, 02 Jan 2006 15:04:05 GMT"), time.Second},
	} {
		t.Run(c.field, func(t *testing.T) {
			w := newWorld(t)
			for _, segment := range []string{"requestvoucher", "simpleenroll"} {
				good, asked := w.registrar.answers[segment], 0
				w.registrar.answers[segment] = func(call *pledge.Call, body []byte) *pledge.Reply {
					if asked++; asked <= 1 {
						return &pledge.Reply{Status: 202, RetryAfter: c.field}
					}
					return good(call, body)
				}
			}
			if _, err := w.join(); err != nil {
				t.Fatal(err)
			}
			if len(w.clock.slept) < 1 || w.clock.slept[0] != c.wait {
				t.Errorf("slept %v, want %v first", w.clock.slept, c.wait)
			}
			for _, segment := range []string{"requestvoucher", "simpleenroll"} {
				bodies := w.registrar.bodies[segment]
				if len(bodies) != 2 || string(bodies[0]) != string(bodies[1]) {
					t.Errorf("%s: %d requests, which have to be the same octets", segment, len(bodies))
				}
			}
		})
	}
}

func TestARegistrarMayTakeFourDays(t *testing.T) {
	for _, segment := range []string{"requestvoucher", "simpleenroll"} {
		w := newWorld(t)
		w.registrar.answers[segment] = func(*pledge.Call, []byte) *pledge.Reply { return &pledge.Reply{Status: 202} }
		_, err := w.join()
		w.refuses(t, err, pledge.PendingTooLong)
		if waited := w.clock.now.Sub(epoch); waited < pledge.MaxPending-pledge.RetryWait || waited > pledge.MaxPending {
			t.Errorf("%s: gave up after %v", segment, waited)
		}
	}
}

func TestInterruptedWhilePending(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	w.registrar.answers["requestvoucher"] = func(*pledge.Call, []byte) *pledge.Reply {
		if len(w.registrar.calls) == 3 {
			cancel()
		}
		return &pledge.Reply{Status: 202}
	}
	_, err := w.pledge().Join(ctx, "https://registrar.example")
	var failed *pledge.JoinError
	if !errors.As(err, &failed) || failed.Outcome() != pledge.Undecided || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAnotherServerOnTheSameConnection(t *testing.T) {
	w := newWorld(t)
	stranger := newRegistrar(t, w, "stranger.example")
	good := w.registrar.requestVoucher
	w.registrar.answers["requestvoucher"] = func(c *pledge.Call, body []byte) *pledge.Reply {
		w.registrar.peers = stranger.chain
		return good(c, body)
	}
	_, err := w.join()
	w.refuses(t, err, pledge.PeerChanged)
	if len(w.registrar.calls) != 1 {
		t.Errorf("the other server was told something: %v", w.registrar.calls)
	}
}

func TestServersWithTooManyCertificatesOrNone(t *testing.T) {
	w := newWorld(t)
	w.registrar.peers = []*x509.Certificate{}
	_, err := w.join()
	w.refuses(t, err, decision.BadCertificate)
	w.registrar.peers = slices.Repeat(w.registrar.chain, 9)
	_, err = w.join()
	w.refuses(t, err, decision.TooLarge)
	if len(w.registrar.calls) != 0 {
		t.Errorf("calls %v", w.registrar.calls)
	}
}
