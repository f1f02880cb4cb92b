package sim

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/pledge"
)

// A thing is a device: a pledge, its storage, and what the story wants of it.
type thing struct {
	w         *World
	serial    string
	exclusive bool
	identity  pledge.Identity
	format    codec.Format
	origins   []string // registrars it can reach, the first ones first
	tainted   bool     // an attacker stands in its audit log: registrars may turn it away

	files    map[string][]byte
	joining  *pledge.Joining
	due      time.Time
	joined   *pledge.Joined
	home     *site
	renewals int
	settled  bool
}

func newThing(w *World, number int) (*thing, error) {
	d := &thing{w: w, serial: fmt.Sprintf("SIM-%04d", number), exclusive: number%5 == 0, format: codec.FormatCMS,
		files: map[string][]byte{}, renewals: 1, due: w.now.Add(time.Duration(w.rand.IntN(60_000)) * time.Millisecond)}
	if w.rand.IntN(3) == 0 {
		d.format = codec.FormatJWS
	}
	key, err := keyNumber(keyDevices + number)
	if err != nil {
		return nil, err
	}
	cert, err := w.masa.idevids.IDevID(ca.IDevIDParams{SerialNumber: d.serial, PublicKey: key.Public(), NotBefore: epoch.AddDate(0, -6, 0), MASAURL: host})
	if err != nil {
		return nil, err
	}
	d.identity = pledge.Identity{Chain: []*x509.Certificate{cert, w.masa.idevids.Certificate()}, Key: key}
	for _, s := range w.sites {
		d.origins = append(d.origins, s.origin)
	}
	if w.rand.IntN(2) == 0 {
		slices.Reverse(d.origins)
	}
	return d, nil
}

// id is the device's name in every database.
func (d *thing) id() device.ID {
	return device.ID{IssuerKeyID: string(d.identity.Chain[0].AuthorityKeyId), Serial: d.serial}
}

func (w *World) bySerial(serial string) *thing {
	i := slices.IndexFunc(w.devices, func(d *thing) bool { return d.serial == serial })
	if i < 0 {
		return nil
	}
	return w.devices[i]
}

var errPowerCut = errors.New("the power was cut")

// Get, Put and Delete are the device's storage. A power cut comes before or
// after a change.
func (d *thing) Get(name string) ([]byte, error) {
	content, ok := d.files[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return bytes.Clone(content), nil
}

// Put replaces a file, or is cut.
func (d *thing) Put(name string, content []byte) error {
	return d.change(func() { d.files[name] = bytes.Clone(content) })
}

// Delete removes a file, or is cut.
func (d *thing) Delete(name string) error {
	if _, ok := d.files[name]; !ok {
		return nil
	}
	return d.change(func() { delete(d.files, name) })
}

func (d *thing) change(f func()) error {
	if d.w.trouble() {
		d.w.count.Cuts++
		if d.w.rand.IntN(2) == 0 {
			f()
		}
		return errPowerCut
	}
	f()
	return nil
}

// Now is the device's clock, which is the world's.
func (d *thing) Now() time.Time { return d.w.now }

// Sleep lets the world's clock go on.
func (d *thing) Sleep(_ context.Context, wait time.Duration) error {
	d.w.now = d.w.now.Add(wait)
	return nil
}

// AfterFunc never calls f: a call over the network takes none of the time that
// devices wait for, so each Step waits for its own and one thing happens at a time.
func (d *thing) AfterFunc(wait time.Duration, f func()) (stop func() bool) { return never(wait, f) }

func (d *thing) config() pledge.Config {
	return pledge.Config{IDevID: d.identity, VoucherAnchors: []*x509.Certificate{d.w.masa.vouchers.Certificate()}, Network: d.w, Storage: d,
		Clock: d, ClockTrusted: true, Rand: d.w.random, Verifier: verifier(), Format: d.format,
		AllowPlainRegistrar: d.w.opts.PlainRegistrars}
}

// step lets the device do what is due.
func (d *thing) step() error {
	if d.joined != nil {
		return d.renew()
	}
	if d.joining == nil {
		if err := d.boot(); err != nil {
			return d.setBack(err)
		}
	}
	wait, joined, err := d.joining.Step(d.w.ctx)
	if err != nil {
		return d.setBack(err)
	}
	if joined != nil {
		return d.arrive(joined)
	}
	d.due = d.w.now.Add(max(wait, time.Second))
	if d.hopeless() {
		d.settled = true
	}
	return nil
}

// boot starts the device on what is in its storage.
func (d *thing) boot() error {
	p, err := pledge.New(d.config())
	if err != nil {
		return err
	}
	d.joining, err = p.Start(d.origins...)
	return err
}

// setBack is a power cut: the device boots again after a while. Anything else
// is a fault of the story.
func (d *thing) setBack(err error) error {
	if !errors.Is(err, errPowerCut) {
		return err
	}
	d.joining = nil
	d.due = d.w.now.Add(time.Duration(1+d.w.rand.IntN(30)) * time.Second)
	return nil
}

// hopeless reports whether nobody will ever have the device: then it has
// settled once the faults are over.
func (d *thing) hopeless() bool {
	return d.w.calm && !slices.ContainsFunc(d.w.sites, d.welcome)
}

// welcome reports whether a site may have the device.
func (d *thing) welcome(s *site) bool {
	return !d.tainted && !s.refused[d.serial] && (!d.exclusive || s == d.w.sites[0])
}

// arrive holds what must be true of every imprint.
func (d *thing) arrive(joined *pledge.Joined) error {
	w := d.w
	w.count.Joined++
	d.joined = joined
	for _, s := range w.sites {
		if joined.Registrar == s.origin {
			d.home = s
		}
	}
	switch {
	case d.home == nil:
		w.violate("%s joined %s, which is no domain", d.serial, joined.Registrar)
		d.settled = true
		return nil
	case d.exclusive && d.home != w.sites[0]:
		w.violate("%s is exclusive and joined another's domain", d.serial)
	case !slices.ContainsFunc(joined.CACerts, d.home.domain.Certificate().Equal):
		w.violate("%s has not the authorities of its domain", d.serial)
	case joined.LDevID.Chain[0].CheckSignatureFrom(d.home.domain.Certificate()) != nil:
		w.violate("%s has a certificate of somebody else", d.serial)
	case joined.LDevID.Chain[0].Subject.SerialNumber != d.serial:
		w.violate("%s has a certificate for %s", d.serial, joined.LDevID.Chain[0].Subject.SerialNumber)
	}
	d.due = w.now.Add(time.Duration(1+w.rand.IntN(3600)) * time.Second)
	return nil
}

// renew gets the device another certificate, once.
func (d *thing) renew() error {
	if d.renewals == 0 {
		d.settled = true
		return nil
	}
	ctx, cancel := context.WithCancel(d.w.ctx)
	defer cancel()
	joined, err := pledge.Renew(ctx, d.config(), nil)
	d.due = d.w.now.Add(time.Duration(1+d.w.rand.IntN(600)) * time.Second)
	switch {
	case err == nil:
		d.w.count.Renewed++
		d.joined = joined
		d.renewals--
	case errors.Is(err, errPowerCut):
		if had, err := pledge.Load(calmly{d}); err != nil || had == nil {
			d.w.violate("%s lost its state in a power cut: %v", d.serial, err)
		}
	case d.home != nil && (d.home.refused[d.serial] || d.tainted):
		d.renewals = 0
	case d.w.calm:
		d.w.violate("%s cannot renew: %v", d.serial, err)
		d.renewals = 0
	}
	return nil
}

// calmly is a device's storage without power cuts.
type calmly struct{ d *thing }

func (c calmly) Get(name string) ([]byte, error) { return c.d.Get(name) }

func (c calmly) Put(name string, content []byte) error {
	c.d.files[name] = bytes.Clone(content)
	return nil
}

func (c calmly) Delete(name string) error {
	delete(c.d.files, name)
	return nil
}

// operate is what operators do meanwhile: one registrar refuses a device, or
// takes a refusal back.
func (w *World) operate() error {
	s := w.sites[w.rand.IntN(len(w.sites))]
	d := w.devices[w.rand.IntN(len(w.devices))]
	change, refused := s.service.Refuse, true
	if s.refused[d.serial] {
		change, refused = s.service.Approve, false
	}
	_, err := change(w.ctx, d.serial)
	if s.rest() {
		// Whether it was durable before the crash, the record says.
		info, err := s.service.ShowDevice(w.ctx, d.serial)
		if err == nil {
			s.refused[d.serial] = info.Standing == "refused"
		}
		return nil
	}
	var missing *device.NotFoundError
	if errors.As(err, &missing) {
		return nil // it has not come yet
	}
	if err == nil {
		s.refused[d.serial] = refused
	}
	return err
}

// settled holds what must be true when a story is over.
func (w *World) settled() error {
	w.calm = true
	for _, d := range w.devices {
		if d.joined == nil && slices.ContainsFunc(w.sites, d.welcome) {
			var last any
			if d.joining != nil {
				last = d.joining.Attempts()
			}
			w.violate("%s has not joined although it may: %v", d.serial, last)
		}
	}
	for _, s := range w.sites {
		if err := s.recorded(); err != nil {
			w.violate("%v", err)
		}
	}
	if err := w.masa.audited(); err != nil {
		w.violate("the audit log: %v", err)
	}
	return nil
}
