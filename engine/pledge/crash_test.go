package pledge_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

// cuts runs f with the power cut after 0, 1, 2, … changes of the storage, until
// it gets through.
func cuts(t *testing.T, prepare func() *world, f func(*world) error, after func(t *testing.T, w *world, cut int)) {
	t.Helper()
	for cut := 0; ; cut++ {
		w := prepare()
		w.storage.left = cut
		err := f(w)
		w.storage.left = -1
		if err == nil {
			if cut < 3 {
				t.Fatalf("only %d changes", cut)
			}
			return
		}
		if !errors.Is(err, errPowerCut) {
			t.Fatalf("after %d changes: %v", cut, err)
		}
		after(t, w, cut)
	}
}

func TestPowerCutWhileJoining(t *testing.T) {
	cuts(t, func() *world { return newWorld(t) }, func(w *world) error { _, err := w.join(); return err }, func(t *testing.T, w *world, cut int) {
		committed := w.storage.files[pledge.FileState] != nil
		had, err := pledge.Load(w.storage)
		if err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
		if (had != nil) != committed {
			t.Fatalf("cut %d: joined %v, committed %v", cut, had != nil, committed)
		}
		if had == nil && len(w.storage.files) != 0 {
			t.Errorf("cut %d: left in factory state: %s", cut, w.storage.names())
		}
		// Into another domain: what the first one left must not matter.
		if had == nil {
			w.registrar = newRegistrar(t, w, "registrar.example")
			w.cfg.Network = network{"https://registrar.example": w.registrar}
		}
		joined, err := w.join()
		if err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
		if joined.Already != committed {
			t.Errorf("cut %d: joined already: %v", cut, joined.Already)
		}
		isJoined(t, w, joined)
		if !slices.ContainsFunc(joined.CACerts, w.registrar.domain.Certificate().Equal) {
			t.Errorf("cut %d: in the wrong domain", cut)
		}
	})
}

// The storage fails once the state is in force, just as the time to join is up:
// what belongs to the state must stay.
func TestTheEndOfTimeClearsNoStateInForce(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.cfg.Storage = &failing{w.storage, cancel}
	if _, err := w.pledge().Join(ctx, "https://registrar.example"); !errors.Is(err, errPowerCut) {
		t.Errorf("%v", err)
	}
	had, err := pledge.Load(w.storage)
	if err != nil {
		t.Fatal(err)
	}
	isJoined(t, w, had)
}

// failing is a storage that reports failure of the Put that brings a state into
// force, which took place, and tells of it.
type failing struct {
	*memory
	told func()
}

func (f *failing) Put(name string, content []byte) error {
	err := f.memory.Put(name, content)
	if name == pledge.FileState {
		f.told()
		return errPowerCut
	}
	return err
}

func TestPowerCutWhileWhatAPowerCutLeftIsCleared(t *testing.T) {
	// The first cut leaves staged files, the second comes while they are cleared.
	broken := func() *world {
		w := newWorld(t)
		w.storage.left = 5
		if _, err := w.join(); !errors.Is(err, errPowerCut) {
			t.Fatal(err)
		}
		return w
	}
	if w := broken(); len(w.storage.files) != 4 || w.storage.files[pledge.FileState] != nil {
		t.Fatalf("the first cut leaves %s", w.storage.names())
	}
	cuts(t, broken, func(w *world) error { _, err := pledge.Load(w.storage); return err }, func(t *testing.T, w *world, cut int) {
		joined, err := w.join()
		if err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
		isJoined(t, w, joined)
	})
}

// The key must be there before a request to certify it leaves.
func TestTheKeyIsDurableBeforeTheRequestLeaves(t *testing.T) {
	for _, renew := range []bool{false, true} {
		w := newWorld(t)
		segment := "simpleenroll"
		if renew {
			segment = "simplereenroll"
			if _, err := w.join(); err != nil {
				t.Fatal(err)
			}
		}
		good, seen := w.registrar.answers[segment], false
		w.registrar.answers[segment] = func(c *pledge.Call, body []byte) *pledge.Reply {
			key := must[crypto.Signer](t)(sign.LoadKey(w.storage.files[pledge.FileKey+".next"], nil))
			_, public := w.registrar.certify(t, body)
			seen = equalKeys(public, key.Public())
			return good(c, body)
		}
		var err error
		if renew {
			_, err = pledge.Renew(context.Background(), w.cfg, nil)
		} else {
			_, err = w.join()
		}
		if err != nil || !seen {
			t.Errorf("renewal %v: key stored first: %v, %v", renew, seen, err)
		}
	}
}

func TestPowerCutWhileRenewing(t *testing.T) {
	prepare := func() *world {
		w := newWorld(t)
		if _, err := w.join(); err != nil {
			t.Fatal(err)
		}
		w.clock.now = epoch.Add(time.Hour)
		return w
	}
	renew := func(w *world) error { _, err := pledge.Renew(context.Background(), w.cfg, nil); return err }
	cuts(t, prepare, renew, func(t *testing.T, w *world, cut int) {
		renewed := strings.Contains(string(w.storage.files[pledge.FileState]), "renewed-on")
		before := w.registrar.clients["simpleenroll"]
		had, err := pledge.Load(w.storage)
		if err != nil || had == nil {
			t.Fatalf("cut %d: %+v, %v", cut, had, err)
		}
		if had.LDevID.Chain[0].Equal(before) || (had.RenewedOn != nil) != renewed {
			t.Errorf("cut %d: half a state: renewed on %v, %v", cut, had.RenewedOn, renewed)
		}
		isJoined(t, w, had)
		if err := renew(w); err != nil {
			t.Fatalf("cut %d: %v", cut, err)
		}
	})
}

func TestPowerCutWhileResetting(t *testing.T) {
	prepare := func() *world {
		w := newWorld(t)
		if _, err := w.join(); err != nil {
			t.Fatal(err)
		}
		return w
	}
	cuts(t, prepare, func(w *world) error { return pledge.Reset(w.storage) }, func(t *testing.T, w *world, cut int) {
		had, err := pledge.Load(w.storage)
		if err != nil {
			t.Fatal(err)
		}
		if (had != nil) != (cut == 0) {
			t.Errorf("cut %d: still joined: %v", cut, had != nil)
		}
		if had == nil && len(w.storage.files) != 0 {
			t.Errorf("cut %d: left: %s", cut, w.storage.names())
		}
	})
}

// Storage that is not whole is no state: the device says so and does not join.
func TestDamagedStorage(t *testing.T) {
	for name, damage := range map[string]func(*memory){
		"other certificate": func(m *memory) { m.files[pledge.FileCert] = m.files[pledge.FileCACerts] },
		"key of another":    func(m *memory) { m.forge(t, pledge.FileKey, must[[]byte](t)(sign.MarshalKeyPEM(newKey(t), nil))) },
		"no key":            func(m *memory) { delete(m.files, pledge.FileKey) },
		"cut state":         func(m *memory) { m.files[pledge.FileState] = m.files[pledge.FileState][:40] },
		"empty state":       func(m *memory) { m.files[pledge.FileState] = nil },
		"huge state":        func(m *memory) { m.files[pledge.FileState] = make([]byte, 70000) },
		"newer state":       func(m *memory) { m.files[pledge.FileState] = []byte(`{"version":2}`) },
		"no files":          func(m *memory) { m.files[pledge.FileState] = []byte(`{"version":1}`) },
		"odd file":          func(m *memory) { m.files[pledge.FileState] = []byte(`{"version":1,"files":{"../x":"00"}}`) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.join(); err != nil {
				t.Fatal(err)
			}
			damage(w.storage)
			calls := len(w.registrar.calls)
			if _, err := w.join(); !decision.Is(err, pledge.InconsistentStorage) {
				t.Errorf("%v", err)
			}
			if len(w.registrar.calls) != calls {
				t.Error("it asked the network")
			}
			if err := pledge.Reset(w.storage); err != nil {
				t.Fatal(err)
			}
			if _, err := w.join(); err != nil {
				t.Errorf("after a reset: %v", err)
			}
		})
	}
}

// forge replaces a file and what the state says of it.
func (m *memory) forge(t *testing.T, name string, content []byte) {
	t.Helper()
	sum := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	state := strings.ReplaceAll(string(m.files[pledge.FileState]), sum(m.files[name]), sum(content))
	m.files[name], m.files[pledge.FileState] = content, []byte(state)
}

func TestARenewalBesideAnIssuedCertificate(t *testing.T) {
	w := newWorld(t)
	first, err := w.join()
	if err != nil {
		t.Fatal(err)
	}
	var trail decision.Trail
	renewed, err := pledge.Renew(context.Background(), w.cfg, &trail)
	if err != nil {
		t.Fatalf("%v; %+v", err, trail.Checks())
	}
	isJoined(t, w, renewed)
	if got := w.registrar.clients["simplereenroll"]; !got.Equal(first.LDevID.Chain[0]) {
		t.Errorf("authenticated as %q", got.Subject)
	}
	csr, public := w.registrar.certify(t, w.registrar.bodies["simplereenroll"][0])
	if string(csr.Subject) != string(first.LDevID.Chain[0].RawSubject) || equalKeys(public, first.LDevID.Key.Public()) {
		t.Error("another subject, or the same key")
	}
	if renewed.RenewedOn == nil || string(renewed.Voucher) != string(first.Voucher) {
		t.Errorf("%+v", renewed.State)
	}
}

func TestRenewalOnlyFromTheDomain(t *testing.T) {
	for name, c := range map[string]struct {
		setup func(*world)
		kind  decision.Kind
	}{
		"not joined":        {func(w *world) { _ = pledge.Reset(w.storage) }, pledge.NotJoined},
		"another domain":    {func(w *world) { w.registrar.peers = newRegistrar(t, w, "registrar.example").chain }, pledge.UntrustedServer},
		"an LDevID":         {func(w *world) { w.registrar.peers = []*x509.Certificate{w.ldevid()} }, pledge.UntrustedServer},
		"refused":           {func(w *world) { w.registrar.answers["simplereenroll"] = plain(403) }, pledge.RegistrarRefused},
		"no authorities":    {func(w *world) { w.registrar.answers["cacerts"] = plain(404) }, pledge.RegistrarRefused},
		"never decided":     {func(w *world) { w.registrar.answers["simplereenroll"] = plain(202) }, pledge.PendingTooLong},
		"foreign authority": {func(w *world) { w.registrar.answers["cacerts"] = newRegistrar(t, w, "x.example").cacerts }, pledge.BadIssuedCert},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.join(); err != nil {
				t.Fatal(err)
			}
			c.setup(w)
			calls := len(w.registrar.calls)
			if _, err := pledge.Renew(context.Background(), w.cfg, nil); !decision.Is(err, c.kind) {
				t.Errorf("%v, want %s", err, c.kind)
			}
			if c.kind == pledge.UntrustedServer && len(w.registrar.calls) != calls {
				t.Errorf("told a stranger: %v", w.registrar.calls[calls:])
			}
			if c.kind != pledge.NotJoined {
				isJoined(t, w, must[*pledge.Joined](t)(pledge.Load(w.storage)))
			}
		})
	}
}

func plain(status int) func(*pledge.Call, []byte) *pledge.Reply {
	return func(*pledge.Call, []byte) *pledge.Reply { return &pledge.Reply{Status: status} }
}

// ldevid is the certificate of another device of the domain.
func (w *world) ldevid() *x509.Certificate {
	key := newKey(w.t)
	return must[*x509.Certificate](w.t)(w.registrar.domain.LDevID(w.ldevidParams("another", key)))
}

func TestAServerOfTheDomainNeedsTheNameOrTheRole(t *testing.T) {
	w := newWorld(t)
	if _, err := w.join(); err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	for host, want := range map[string]bool{"registrar.example": true, "elsewhere.example": false} {
		params := entity(host, key)
		params.Names.DNS = []string{host}
		w.registrar.peers = []*x509.Certificate{must[*x509.Certificate](t)(w.registrar.domain.TLSServer(params))}
		if _, err := pledge.Renew(context.Background(), w.cfg, nil); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
	// A device of the domain that has that name is no server.
	params := entity("registrar.example", key)
	params.Names.DNS = []string{"registrar.example"}
	w.registrar.peers = []*x509.Certificate{must[*x509.Certificate](t)(w.registrar.domain.TLSClient(params))}
	if _, err := pledge.Renew(context.Background(), w.cfg, nil); !decision.Is(err, pledge.UntrustedServer) {
		t.Errorf("a client: %v", err)
	}
}

// The new connection with the LDevID is for the registrar, or another of the
// domain, and for nobody else.
func TestTheEnrolmentIsConfirmedToTheDomainAlone(t *testing.T) {
	for name, c := range map[string]struct {
		met  func(*world) []*x509.Certificate
		told bool
	}{
		"the same":              {func(w *world) []*x509.Certificate { return w.registrar.chain }, true},
		"another of the domain": {func(w *world) []*x509.Certificate { return w.other() }, true},
		"a namesake":            {namesake, false},
		"a device":              {func(w *world) []*x509.Certificate { return []*x509.Certificate{w.ldevid()} }, false},
	} {
		w := newWorld(t)
		enrol := w.registrar.answers["simpleenroll"]
		w.registrar.answers["simpleenroll"] = func(call *pledge.Call, body []byte) *pledge.Reply {
			reply := enrol(call, body)
			w.registrar.peers = c.met(w)
			return reply
		}
		if _, err := w.join(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if told := slices.Contains(w.registrar.calls, "enrollstatus:true"); told != c.told {
			t.Errorf("%s: told %v: %v", name, told, w.registrar.calls)
		}
	}
}

// other is another registrar of the same domain.
func (w *world) other() []*x509.Certificate {
	params := entity("other.example", newKey(w.t))
	params.Names.DNS = []string{"other.example"}
	return []*x509.Certificate{must[*x509.Certificate](w.t)(w.registrar.domain.Registrar(params))}
}
