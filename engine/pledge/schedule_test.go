package pledge_test

import (
	"context"
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

// several adds registrars a.example, b.example, … and returns their URLs.
func (w *world) several(n int) []string {
	hosts := network{}
	var urls []string
	for i := range n {
		url := fmt.Sprintf("https://%c.example", 'a'+i)
		hosts[url] = newRegistrar(w.t, w, strings.TrimPrefix(url, "https://"))
		urls = append(urls, url)
	}
	w.cfg.Network = hosts
	return urls
}

func (w *world) at(url string) *registrar { return w.cfg.Network.(network)[url] }

func TestTheNextRegistrarIsTried(t *testing.T) {
	w := newWorld(t)
	urls := w.several(4)
	w.at(urls[0]).down = true
	w.at(urls[1]).answers["requestvoucher"] = plain(404)
	w.at(urls[2]).answers["simpleenroll"] = plain(403)
	var seen []*pledge.Attempt
	w.cfg.Observe = func(a *pledge.Attempt) { seen = append(seen, a) }
	joined, err := w.pledge().Join(context.Background(), urls...)
	if err != nil {
		t.Fatal(err)
	}
	if joined.Registrar != urls[3] {
		t.Errorf("joined at %s", joined.Registrar)
	}
	if len(seen) != 4 || seen[0].Refused() || !seen[1].Refused() || !seen[2].Refused() || seen[3].Err != nil {
		t.Errorf("attempts %+v", seen)
	}
	if calls := w.at(urls[2]).calls; calls[len(calls)-1] != "enrollstatus:false enrolment was refused" {
		t.Errorf("the registrar that did not enrol was told %v", calls)
	}
	nonces := map[string]bool{}
	for _, url := range urls[1:] {
		for _, body := range w.at(url).bodies["requestvoucher"] {
			nonces[string(open(t, codec.FormatCMS, body).Leaves.Nonce)] = true
		}
	}
	if len(nonces) != 3 {
		t.Errorf("%d nonces for 3 registrars", len(nonces))
	}
	for _, gap := range w.clock.slept {
		if gap < 3*time.Second || gap > 5*time.Second {
			t.Errorf("attempts %v apart, want 3 to 5 s", w.clock.slept)
		}
	}
	if len(w.clock.slept) != 3 {
		t.Errorf("slept %v", w.clock.slept)
	}
}

func TestAnUndecidedRegistrarHoldsNobodyUp(t *testing.T) {
	w := newWorld(t)
	urls := w.several(2)
	w.at(urls[0]).answers["requestvoucher"] = plain(202)
	joined, err := w.pledge().Join(context.Background(), urls...)
	if err != nil || joined.Registrar != urls[1] || w.clock.now.Sub(epoch) > 5*time.Second {
		t.Errorf("%+v after %v, %v", joined, w.clock.now.Sub(epoch), err)
	}
}

// Once a voucher is verified the device is its registrar's, and tries no other
// while that decides about the certificate.
func TestAnImprintedDeviceWaits(t *testing.T) {
	w := newWorld(t)
	urls := w.several(2)
	a := w.at(urls[0])
	good, asked := a.answers["simpleenroll"], 0
	a.answers["simpleenroll"] = func(c *pledge.Call, body []byte) *pledge.Reply {
		if asked++; asked < 100 {
			return &pledge.Reply{Status: 202}
		}
		return good(c, body)
	}
	joined, err := w.pledge().Join(context.Background(), urls...)
	if err != nil || joined.Registrar != urls[0] || len(w.at(urls[1]).calls) != 0 {
		t.Errorf("%+v, %v; the other was asked %v", joined, err, w.at(urls[1]).calls)
	}
}

func TestBackOff(t *testing.T) {
	w := newWorld(t)
	w.cfg.Once = false
	w.registrar.down = true
	var tries []time.Time
	ctx, cancel := context.WithCancel(context.Background())
	w.cfg.Observe = func(*pledge.Attempt) {
		if tries = append(tries, w.clock.now); len(tries) == 16 {
			cancel()
		}
	}
	j, err := w.pledge().Start("https://registrar.example")
	if err != nil {
		t.Fatal(err)
	}
	run := func() error {
		for {
			wait, _, err := j.Step(ctx)
			if err != nil {
				return err
			}
			_ = w.clock.Sleep(context.Background(), wait)
		}
	}
	var failed *pledge.JoinError
	if err := run(); !errors.As(err, &failed) || failed.Outcome() != pledge.NothingReached || !errors.Is(err, errNoRoute) {
		t.Errorf("%v", err)
	}
	want := 5 * time.Second
	for i := 1; i < len(tries); i++ {
		if got := tries[i].Sub(tries[i-1]); got != want {
			t.Errorf("try %d after %v, want %v", i+1, got, want)
		}
		want = min(2*want, time.Hour)
	}
	// A new link: whoever did not answer may do so now.
	now := w.clock.now
	j.LinkChanged()
	ctx = context.Background()
	w.registrar.down = false
	for {
		wait, joined, err := j.Step(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if joined != nil {
			break
		}
		_ = w.clock.Sleep(ctx, wait)
	}
	if waited := w.clock.now.Sub(now); waited > 5*time.Second {
		t.Errorf("joined %v after the link changed", waited)
	}
}

func TestDiscovery(t *testing.T) {
	w := newWorld(t)
	w.cfg.Once = false
	var asked []time.Duration
	w.cfg.Discover = func(context.Context) ([]string, error) {
		asked = append(asked, w.clock.now.Sub(epoch))
		switch len(asked) {
		case 1:
			return nil, errors.New("no interface is up")
		case 2:
			return nil, nil
		}
		return []string{"ftp://x", "https://registrar.example:443/", "https://REGISTRAR.example"}, nil
	}
	joined, err := w.pledge().Join(context.Background())
	if err != nil || joined.Registrar != "https://registrar.example" {
		t.Fatalf("%+v, %v", joined, err)
	}
	if !slices.Equal(asked, []time.Duration{0, 5 * time.Second, 15 * time.Second}) {
		t.Errorf("asked after %v", asked)
	}
}

func TestNobodyToAsk(t *testing.T) {
	w := newWorld(t)
	var failed *pledge.JoinError
	if _, err := w.pledge().Join(context.Background()); !errors.As(err, &failed) || failed.Outcome() != pledge.NothingReached {
		t.Errorf("%v", err)
	}
	w.cfg.Discover = func(context.Context) ([]string, error) { return nil, errNoRoute }
	if _, err := w.pledge().Join(context.Background()); !errors.As(err, &failed) || !errors.Is(err, errNoRoute) {
		t.Errorf("%v", err)
	}
}

// Whoever wants to be asked again at once does not keep others waiting.
func TestEagerRegistrarsTakeTurns(t *testing.T) {
	w := newWorld(t)
	urls := w.several(6)
	for _, url := range urls[:5] {
		w.at(url).answers["requestvoucher"] = func(*pledge.Call, []byte) *pledge.Reply {
			w.clock.now = w.clock.now.Add(10 * time.Second) // and takes its time to answer
			return &pledge.Reply{Status: 202, RetryAfter: "1"}
		}
	}
	joined, err := w.pledge().Join(context.Background(), urls...)
	if err != nil || joined.Registrar != urls[5] {
		t.Fatalf("%+v, %v", joined, err)
	}
	for _, url := range urls[:5] {
		if n := len(w.at(url).calls); n > 2 {
			t.Errorf("%s was asked %d times before the others", url, n)
		}
	}
}

// Whoever announces many registrars that never decide holds few connections.
func TestFewConnectionsAreHeld(t *testing.T) {
	w := newWorld(t)
	urls := w.several(12)
	for _, url := range urls {
		w.at(url).answers["requestvoucher"] = plain(202)
	}
	j, err := w.pledge().Start(urls...)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		wait, _, err := j.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		pending := 0
		for _, a := range j.Attempts() {
			if a.Pending {
				pending++
			}
		}
		if pending > 8 {
			t.Fatalf("%d registrars are waited for", pending)
		}
		_ = w.clock.Sleep(context.Background(), wait)
	}
	if len(w.at(urls[11]).calls) == 0 {
		t.Error("the last one was never asked")
	}
	for i := range 100 {
		if err := j.Add(fmt.Sprintf("https://x%d.example", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever floods the link with names keeps nobody out for good.
func TestNamesThatFailedMakeRoom(t *testing.T) {
	w := newWorld(t)
	w.cfg.Once = false
	urls := w.several(2)
	w.at(urls[1]).down = true // named, and to be kept
	var found []string
	for i := range 70 {
		found = append(found, fmt.Sprintf("https://x%d.example", i))
	}
	rounds := 0
	w.cfg.Discover = func(context.Context) ([]string, error) {
		if rounds++; rounds > 1 {
			return urls[:1], nil
		}
		return found, nil
	}
	j := must[*pledge.Joining](t)(w.pledge().Start(urls[1]))
	for range 1000 {
		wait, joined, err := j.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if joined != nil {
			named := slices.ContainsFunc(j.Attempts(), func(a *pledge.Attempt) bool { return a.Registrar == urls[1] })
			if joined.Registrar != urls[0] || !named {
				t.Errorf("joined at %s; the one named is still known: %v", joined.Registrar, named)
			}
			return
		}
		_ = w.clock.Sleep(context.Background(), wait)
	}
	t.Error("the registrar that came later was never tried")
}

func TestRedirects(t *testing.T) {
	to := func(status int, location string) func(*pledge.Call, []byte) *pledge.Reply {
		return func(*pledge.Call, []byte) *pledge.Reply { return &pledge.Reply{Status: status, Location: location} }
	}
	for name, c := range map[string]struct {
		first, second func(*pledge.Call, []byte) *pledge.Reply
		kind          decision.Kind // "" joins at b
	}{
		"one to another origin":  {to(307, "https://b.example/.well-known/brski/requestvoucher"), nil, ""},
		"old status":             {to(302, "https://B.example:443"), nil, ""},
		"two":                    {to(307, "https://b.example"), to(307, "https://c.example"), pledge.BadRedirect},
		"there and back":         {to(307, "https://b.example"), to(307, "https://a.example"), pledge.BadRedirect},
		"to itself, for ever":    {to(308, "/.well-known/brski/requestvoucher?x=1"), nil, pledge.BadRedirect},
		"to plain HTTP":          {to(307, "http://b.example/"), nil, pledge.BadRedirect},
		"to nowhere":             {to(307, ""), nil, pledge.BadRedirect},
		"to no URL":              {to(307, "https://b.example:port"), nil, pledge.BadRedirect},
		"with a user":            {to(307, "https://me@b.example/"), nil, pledge.BadRedirect},
		"303 changes the method": {to(303, "https://b.example/"), nil, pledge.RegistrarRefused},
		"300":                    {to(300, "https://b.example/"), nil, pledge.RegistrarRefused},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			urls := w.several(3)
			a, b := w.at(urls[0]), w.at(urls[1])
			a.answers["requestvoucher"] = c.first
			if c.second != nil {
				b.answers["requestvoucher"] = c.second
			}
			joined, err := w.pledge().Join(context.Background(), urls[0])
			if c.kind != "" {
				w.refuses(t, err, c.kind)
				if n := len(a.calls) + len(b.calls); n > 4 {
					t.Errorf("%d calls", n)
				}
				return
			}
			if err != nil || joined.Registrar != urls[1] {
				t.Fatalf("%+v, %v", joined, err)
			}
			first, second := open(t, codec.FormatCMS, a.bodies["requestvoucher"][0]), open(t, 1, b.bodies["requestvoucher"][0])
			if string(first.Leaves.Nonce) == string(second.Leaves.Nonce) || string(second.Leaves.ProximityRegistrarCert) != string(b.chain[0].Raw) {
				t.Error("the second registrar got the first one's request")
			}
		})
	}
}

func TestRedirectsWithinEnrolmentStayInTheOrigin(t *testing.T) {
	w := newWorld(t)
	w.registrar.answers["cacerts"] = func(c *pledge.Call, body []byte) *pledge.Reply {
		return &pledge.Reply{Status: 307, Location: "/.well-known/est/here/moved"}
	}
	w.registrar.answers["moved"] = w.registrar.cacerts
	if _, err := w.join(); err != nil {
		t.Error(err)
	}
	w = newWorld(t)
	w.registrar.answers["cacerts"] = func(c *pledge.Call, body []byte) *pledge.Reply {
		return &pledge.Reply{Status: 307, Location: "https://b.example/"}
	}
	_, err := w.join()
	w.refuses(t, err, pledge.BadRedirect)
}

func TestOrigins(t *testing.T) {
	for in, want := range map[string]string{
		"https://R.example": "https://r.example", "HTTPS://r.example:443/": "https://r.example", "https://r.example:8443": "https://r.example:8443",
		"https://[fe80::1%25eth0]:8443": "https://[fe80::1%25eth0]:8443", "https://192.0.2.1": "https://192.0.2.1",
		"http://r.example": "", "r.example": "", "https://": "", "https://:443": "", "https://r.example/x": "", "https://r.example?x": "", "https://u@r.example": "",
		"https://r.example:": "", "https://r.example:99999": "", "https://r.example#x": "", "": "", "https://" + strings.Repeat("a", 400): "",
	} {
		got, err := pledge.Origin(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
		if again, err := pledge.Origin(got); want != "" && (err != nil || again != got) {
			t.Errorf("%q again: %q, %v", got, again, err)
		}
	}
}

// With UntilReached, whoever cannot be reached is tried again, and looked for;
// whoever refused is not asked twice.
func TestUntilReached(t *testing.T) {
	w := newWorld(t)
	w.cfg.UntilReached = true
	urls := w.several(3)
	a, b := w.at(urls[0]), w.at(urls[1])
	a.answers["requestvoucher"], b.down = plain(403), true
	tries := 0
	w.cfg.Observe = func(seen *pledge.Attempt) {
		if seen.Registrar == urls[1] {
			tries++
			b.down = tries < 4
		}
	}
	joined, err := w.pledge().Join(context.Background(), urls[:2]...)
	if err != nil || joined.Registrar != urls[1] || tries != 5 || len(a.calls) != 1 {
		t.Errorf("%+v, %v, after %d tries; the other was asked %v", joined, err, tries, a.calls)
	}

	w = newWorld(t)
	w.cfg.UntilReached = true
	urls = w.several(1)
	rounds := 0
	w.cfg.Discover = func(context.Context) ([]string, error) {
		switch rounds++; rounds {
		case 1:
			return nil, errNoRoute
		case 2:
			return nil, nil
		}
		return urls, nil
	}
	if joined, err := w.pledge().Join(context.Background()); err != nil || rounds != 3 {
		t.Errorf("%+v, %v, after %d discoveries", joined, err, rounds)
	}

	// Where all have refused, nobody is left to reach.
	w = newWorld(t)
	w.cfg.UntilReached = true
	w.registrar.answers["requestvoucher"] = plain(403)
	_, err = w.join()
	w.refuses(t, err, pledge.RegistrarRefused)
	var failed *pledge.JoinError
	if _, err := w.pledge().Join(context.Background()); !errors.As(err, &failed) || len(failed.Attempts) != 0 {
		t.Errorf("without any registrar: %v", err)
	}
}

// One discovery is all that Once makes, also while a registrar is waited for.
func TestOnceLooksForRegistrarsOnce(t *testing.T) {
	w := newWorld(t)
	w.cfg.Discover = func(context.Context) ([]string, error) { return []string{"https://registrar.example"}, nil }
	good, asked := w.registrar.answers["requestvoucher"], 0
	w.registrar.answers["requestvoucher"] = func(c *pledge.Call, body []byte) *pledge.Reply {
		if asked++; asked == 1 {
			return &pledge.Reply{Status: 202}
		}
		return good(c, body)
	}
	joined, err := w.pledge().Join(context.Background())
	if err != nil || !slices.Equal(w.clock.slept, []time.Duration{pledge.RetryWait}) {
		t.Errorf("%+v, %v; slept %v", joined, err, w.clock.slept)
	}
}
