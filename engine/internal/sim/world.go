package sim

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
)

// epoch is when every story begins.
var epoch = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

// Options say how large a world is and how much goes wrong in it.
type Options struct {
	// Devices join, Attacks are made on them and their registrars meanwhile.
	Devices, Attacks int
	// Trouble is the probability, in thousandths, that a message is lost, an
	// answer is lost or spoilt, and a commit or a write ends in a crash. With
	// any, operators change their minds about devices too.
	Trouble int
	// Wild flips any bit of spoilt messages. What comes of it depends on octets
	// that no seed decides, so the story is not the same twice.
	Wild bool
	// PlainRegistrars makes devices take registrars without id-kp-cmcRA, which
	// lets a device play registrar: a world that must end in violations.
	PlainRegistrars bool
}

// A World is one story. It is for one goroutine.
type World struct {
	Seed    uint64
	opts    Options
	ctx     context.Context
	rand    *rand.Rand
	random  *rand.ChaCha8 // octets for nonces and salts
	now     time.Time
	calm    bool // faults have stopped
	masa    *maker
	sites   []*site
	origins map[string]server
	devices []*thing
	captive []capture // what attackers have seen on the wire
	stolen  map[string][]byte
	count   Counts

	mu         sync.Mutex // guards violations, which hooks on other goroutines add to
	violations []string
}

// Counts say what happened in a story.
type Counts struct {
	Joined, Renewed, Vouchers, Crashes, Cuts, Lost, Attacks, Refusals int
}

// server is what answers at an origin of the network.
type server interface {
	// peer is the certificate list its TLS server shows.
	peer() []*x509.Certificate
	// answer serves one request, crash and loss not yet considered.
	answer(c *request) reply
}

// New makes a world: one manufacturer, two domains of which the first owns some
// exclusive devices, and the devices.
func New(ctx context.Context, seed uint64, opts Options) (*World, error) {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	w := &World{Seed: seed, opts: opts, ctx: ctx, rand: rand.New(rand.NewPCG(seed, 1)), random: rand.NewChaCha8(key), now: epoch,
		origins: map[string]server{}, stolen: map[string][]byte{}}
	var err error
	if w.masa, err = newMaker(w); err != nil {
		return nil, err
	}
	for i := range sites {
		s, err := newSite(w, i)
		if err != nil {
			return nil, err
		}
		w.sites = append(w.sites, s)
		w.origins[s.origin] = s
	}
	for i := range opts.Devices {
		d, err := newThing(w, i)
		if err != nil {
			return nil, err
		}
		w.devices = append(w.devices, d)
	}
	return w, w.masa.stock(w)
}

// Close ends what runs.
func (w *World) Close() {
	for _, s := range w.sites {
		s.service.Close()
	}
}

// Violations returns what must never happen and did.
func (w *World) Violations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violations)
}

// Counts returns what happened.
func (w *World) Counts() Counts { return w.count }

// violate notes what must never happen.
func (w *World) violate(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.violations) < 20 {
		w.violations = append(w.violations, fmt.Sprintf("%s: ", w.now.Format(time.TimeOnly))+fmt.Sprintf(format, args...))
	}
}

// trouble reports whether something goes wrong now.
func (w *World) trouble() bool { return !w.calm && w.rand.IntN(1000) < w.opts.Trouble }

// A story has trouble for as long as its devices take a few steps each, and is
// bounded: a device takes some ten to join.
const (
	troubledSteps = 8
	maxSteps      = 400
)

// Run plays the story: first with trouble and attacks until every device has
// had its chance, then in calm until all have settled.
func (w *World) Run() error {
	attacks := w.opts.Attacks
	for step := 0; ; step++ {
		d := w.next()
		if d == nil || step > maxSteps*len(w.devices) {
			break
		}
		if d.due.After(w.now) {
			w.now = d.due
		}
		w.calm = step > troubledSteps*len(w.devices)
		if err := d.step(); err != nil {
			return fmt.Errorf("device %s: %w", d.serial, err)
		}
		for attacks > 0 && w.rand.IntN(3*len(w.devices)) < w.opts.Attacks {
			attacks--
			if err := w.attack(); err != nil {
				return fmt.Errorf("an attack: %w", err)
			}
		}
		if !w.calm && w.opts.Trouble > 0 && w.rand.IntN(20) == 0 {
			if err := w.operate(); err != nil {
				return fmt.Errorf("an operator: %w", err)
			}
		}
	}
	return w.settled()
}

// next is the device that has something to do soonest, nil when none has.
func (w *World) next() *thing {
	var soonest *thing
	for _, d := range w.devices {
		if !d.settled && (soonest == nil || d.due.Before(soonest.due)) {
			soonest = d
		}
	}
	return soonest
}

// pass lets a little time go by.
func (w *World) pass() { w.now = w.now.Add(time.Duration(1+w.rand.IntN(900)) * time.Millisecond) }

// keys is a supply of keys that all worlds share: what they are does not matter
// to a story, and making them takes longer than telling it.
var keys struct {
	sync.Mutex
	made []crypto.Signer
}

// keyNumber returns the same key for the same number.
func keyNumber(n int) (crypto.Signer, error) {
	keys.Lock()
	defer keys.Unlock()
	for len(keys.made) <= n {
		key, err := sign.GenerateKey(sign.ES256, nil)
		if err != nil {
			return nil, err
		}
		keys.made = append(keys.made, key)
	}
	return keys.made[n], nil
}

// sites is how many domains a world has.
const sites = 2

// Numbers of keys that are not a device's.
const (
	keyIDevIDCA = iota
	keyVoucherCA
	keyVoucherSigner
	keyImpersonatorCA
	keyImpersonator
	keySites        // and one more for each site's registrar
	keyDevices = 16 // first of the devices'
)

func newRoot(name string, number int) (*ca.Authority, error) {
	key, err := keyNumber(number)
	if err != nil {
		return nil, err
	}
	return ca.NewRoot(ca.RootParams{CommonName: name, Key: key, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(20, 0, 0), PathLen: -1}, ca.Options{})
}

func signerOf(key crypto.Signer) (artefact.Signer, error) {
	s, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	if err != nil {
		return nil, err
	}
	return artefact.Signing(s), nil
}

// verifier checks every signature of every world.
var verifier = sync.OnceValue(func() artefact.Verifier {
	v, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		panic(err) // the default implementation is always there
	}
	return artefact.Verifying(v)
})

var (
	errLost  = errors.New("the network lost it")
	errCrash = errors.New("the other side died")
)
