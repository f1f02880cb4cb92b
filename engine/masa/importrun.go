package masa

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// RunOptions say how a run is imported.
type RunOptions struct {
	// Now is when, and the time its vouchers must be valid at.
	Now time.Time
	// Workers is the number of checking goroutines, zero for one a processor.
	Workers int
	// Progress, when not nil, is kept up to date while vouchers are verified.
	Progress *progress.Reporter
}

// ImportRun copies a complete run from a store, so that its vouchers are served
// to the owners of their devices. Every voucher is verified in the copy, under
// our own voucher signers; every device must be on record, not blocked, and not
// owned by a customer that the pinned certificate does not belong to, when the
// import begins and still when it ends. The run has one event in the audit log,
// written in the transaction that makes it known: before that nothing of it is
// served, and what an import left that did not end is deleted by the next one or
// by New.
//
// The source is only read. One import runs at a time; others wait. Errors a
// caller may branch on: *RunRefusedError, *ExistsError, *UsageError, and those
// of the stores.
func (s *Service) ImportRun(ctx context.Context, source *store.Store, name string, opts RunOptions) (*Run, error) {
	s.importing.Lock()
	defer s.importing.Unlock()
	if s.cfg.Runs == nil {
		return nil, usage("no store is configured that runs could be copied into")
	}
	from, err := s.sourceRun(ctx, source, name)
	if err != nil {
		return nil, err
	}
	// What does not fit now is not worth verifying; it is looked at again then.
	if _, _, err := s.survey(ctx, newSurveyor(from, opts.Now)); err != nil {
		return nil, err
	}
	if err := s.copyRun(ctx, from); err != nil {
		return nil, errors.Join(err, s.discard(name))
	}
	if err := s.verifyCopy(ctx, name, opts); err != nil {
		return nil, errors.Join(err, s.discard(name))
	}
	record, err := s.record(ctx, name, opts.Now)
	var failed *state.FailedError
	if errors.As(err, &failed) || errors.Is(err, state.ErrClosed) {
		return nil, err // it may be on record: New will tell
	}
	if err != nil {
		return nil, errors.Join(err, s.discard(name))
	}
	imported := (&servedRun{name, *record}).described()
	return &imported, nil
}

// discard deletes the copy of a run that is not on record.
func (s *Service) discard(name string) error {
	err := s.cfg.Runs.DeleteRun(name)
	var missing *store.RunNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	return err
}

// sourceRun opens the run to be copied.
func (s *Service) sourceRun(ctx context.Context, source *store.Store, name string) (*run.Reader, error) {
	if err := checkName("run", name); err != nil {
		return nil, err
	}
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		found, err := has(r, []byte(keyRun+name))
		return errors.Join(err, existsIf(found, "run", name))
	})
	if err != nil {
		return nil, err
	}
	stored, err := source.Run(name)
	if err != nil {
		return nil, err
	}
	info, err := stored.Info()
	if err != nil {
		return nil, err
	}
	if info.State != store.Complete {
		return nil, &RunRefusedError{Run: name, Reason: fmt.Sprintf("it is %v; finish it first", info.State)}
	}
	if info.Vouchers == 0 {
		return nil, &RunRefusedError{Run: name, Reason: "it has no vouchers"}
	}
	reader, err := run.NewReader(stored)
	if err == nil && reader.Compiler.Format() == codec.FormatCOSE {
		err = &RunRefusedError{Run: name, Reason: "its vouchers are COSE, which is not served over HTTP"}
	}
	return reader, err
}

// A surveyor looks at the devices of a run.
type surveyor struct {
	dir      *directory
	pins     map[string]*x509.Certificate // by the name in the header
	pinned   map[string]*x509.Certificate // those that vouchers pin, by their SPKI
	fits     map[[2]string]bool           // whether a customer's anchors vouch for a pin
	owners   map[string]bool
	expires  time.Time
	never    bool
	refused  RunRefusedError
	reader   *run.Reader
	now      time.Time
	variants map[uint32]bool
}

func newSurveyor(from *run.Reader, now time.Time) *surveyor {
	return &surveyor{reader: from, now: now, pins: map[string]*x509.Certificate{}, pinned: map[string]*x509.Certificate{}, fits: map[[2]string]bool{},
		owners: map[string]bool{}, variants: map[uint32]bool{}, refused: RunRefusedError{Run: from.Run.Name()}}
}

// survey checks the devices of a run and makes its event and record.
func (s *Service) survey(ctx context.Context, v *surveyor) (*audit.Event, *runRecord, error) {
	err := s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		if v.dir, err = s.directory(r); err != nil {
			return err
		}
		for view, err := range v.reader.Run.Pages(0) {
			if err != nil {
				return err
			}
			for i := range view.Count() {
				if err := v.device(r, view.Serial(i), view.Variant(i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if v.refused.Count > 0 {
		return nil, nil, &v.refused
	}
	return v.result()
}

// device checks one device.
func (v *surveyor) device(r state.Reader, serial []byte, id uint32) error {
	variant, err := v.reader.Variant(id)
	if err != nil {
		return err
	}
	pin, err := v.pinOf(variant)
	if err != nil {
		return err
	}
	_, record, err := locate(r, serial, variant.KeyID)
	var missing *device.NotFoundError
	var several *device.AmbiguousError
	if errors.As(err, &missing) || errors.As(err, &several) {
		v.refused.add(serial, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	owner := v.dir.policyOf(record).owner
	switch {
	case record.Blocked:
		v.refused.add(serial, "it is blocked: %s", reasonOf(record.BlockReason))
	case owner != "" && !v.fitting(owner, variant.Pin, pin):
		v.refused.add(serial, "customer %s owns it, and %q, which its voucher pins, is not of that customer", owner, pin.Subject)
	default:
		v.owners[owner] = true
	}
	return nil
}

// pinOf returns the certificate that a variant pins, and notes what its vouchers
// have in common.
func (v *surveyor) pinOf(variant *run.StoredVariant) (*x509.Certificate, error) {
	pin := v.pins[variant.Pin]
	if pin == nil {
		var err error
		if pin, err = x509.ParseCertificate(v.reader.Compiler.Pin(variant.Pin)); err != nil {
			return nil, err
		}
		v.pins[variant.Pin] = pin
		key := spkiOf(pin)
		v.pinned[string(key[:])] = pin
	}
	if v.variants[variant.ID] {
		return pin, nil
	}
	v.variants[variant.ID] = true
	expires, err := expiryOf(&variant.Variant)
	v.never = v.never || expires.IsZero()
	if expires.After(v.expires) {
		v.expires = expires
	}
	return pin, err
}

// fitting reports whether a customer's anchors vouch for a pin.
func (v *surveyor) fitting(owner, name string, pin *x509.Certificate) bool {
	key := [2]string{owner, name}
	fits, known := v.fits[key]
	if !known {
		if c := v.dir.customers[owner]; c != nil {
			_, err := sign.VerifyChain(pin, sign.ChainOptions{Roots: c.Anchors, At: v.now})
			fits = err == nil || slices.ContainsFunc(c.Anchors, func(a *x509.Certificate) bool { return spkiOf(a) == spkiOf(pin) })
		}
		v.fits[key] = fits
	}
	return fits
}

func (v *surveyor) result() (*audit.Event, *runRecord, error) {
	header := v.reader.Header
	created, err := header.Created()
	if err != nil {
		return nil, nil, err
	}
	assertion, err := codec.ParseAssertion(header.Assertion)
	if err != nil {
		return nil, nil, err
	}
	signed, err := manifest.Parse(v.reader.Run.Final())
	if err != nil {
		return nil, nil, err
	}
	root := signed.Manifest.Root()
	event := &audit.Event{Kind: audit.RunImported, Date: v.now, Assertion: assertion, Manifest: root[:], CreatedOn: created, Run: v.reader.Run.Name(), Count: signed.Manifest.Count}
	record := &runRecord{Manifest: root[:], Created: created.Unix(), Count: event.Count, Imported: v.now.Unix(), Format: v.reader.Compiler.Format().String()}
	if !v.never {
		event.ExpiresOn, record.Expires = v.expires, v.expires.Unix()
	}
	for key, pin := range v.pinned {
		record.Pins = append(record.Pins, []byte(key))
		event.DomainIDs = append(event.DomainIDs, audit.DomainID(pin))
	}
	slices.SortFunc(record.Pins, bytes.Compare)
	slices.SortFunc(event.DomainIDs, bytes.Compare)
	event.DomainIDs = slices.CompactFunc(event.DomainIDs, bytes.Equal)
	if n := len(event.DomainIDs); n > audit.MaxRunDomains {
		return nil, nil, &RunRefusedError{Run: event.Run, Reason: fmt.Sprintf("its vouchers pin certificates of %d domains, at most %d go into one event; issue a run for each customer", n, audit.MaxRunDomains)}
	}
	if len(v.owners) == 1 {
		for owner := range v.owners {
			event.Customer = owner
		}
	}
	return event, record, nil
}

// copyRun copies the run, and computes each page's Merkle nodes anew.
func (s *Service) copyRun(ctx context.Context, from *run.Reader) error {
	name := from.Run.Name()
	if err := s.discard(name); err != nil {
		return err
	}
	info, err := from.Run.Info()
	if err != nil {
		return err
	}
	to, err := s.cfg.Runs.CreateRun(store.RunSpec{Name: name, Created: info.Created, Header: from.Run.Header()})
	if err != nil {
		return err
	}
	variants, err := from.Run.Variants()
	if err != nil {
		return err
	}
	for _, id := range variants {
		data, err := from.Run.Variant(id)
		if err == nil {
			err = to.PutVariant(id, data)
		}
		if err != nil {
			return err
		}
	}
	appender, err := to.Appender()
	if err != nil {
		return err
	}
	if err := copyPages(ctx, from, to, appender, info.Pages); err != nil {
		return errors.Join(err, appender.Close())
	}
	return appender.Finish(from.Run.Final())
}

func copyPages(ctx context.Context, from *run.Reader, to *store.Run, appender *store.Appender, pages uint32) error {
	rebuilder, err := from.NewRebuilder()
	if err != nil {
		return err
	}
	var octets []byte
	var nodes merkle.Range
	var keys []uint64
	for number := range pages {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if octets, err = from.Run.Page(number, octets[:0]); err != nil {
			return err
		}
		if err := rebuilder.Page(number, octets); err != nil {
			return err
		}
		if err := rebuilder.Range(&nodes); err != nil {
			return err
		}
		keys = keys[:0]
		for i := range rebuilder.View().Count() {
			keys = append(keys, to.Key(rebuilder.View().Serial(i)))
		}
		if err := appender.Append(store.Page{Bytes: octets, Range: &nodes, Keys: keys}); err != nil {
			return err
		}
	}
	return nil
}

// verifyCopy verifies every voucher of the copy, and its manifest.
func (s *Service) verifyCopy(ctx context.Context, name string, opts RunOptions) error {
	stored, err := s.cfg.Runs.Run(name)
	if err != nil {
		return err
	}
	reader, err := run.NewReader(stored)
	if err != nil {
		return err
	}
	refused := &RunRefusedError{Run: name}
	report, err := verify.Run(ctx, verify.Config{Sources: []verify.Source{verify.StoredRun(reader)},
		Trust: verify.Trust{Anchors: s.cfg.VoucherAnchors, Helpers: s.cfg.Chain, At: opts.Now}, Limits: s.cfg.Limits, Workers: opts.Workers, Progress: opts.Progress,
		Failed: func(f *verify.Failure) error {
			refused.add([]byte(f.Serial), "%v", f)
			return nil
		}})
	switch {
	case err != nil:
		return err
	case refused.Count > 0:
		return refused
	case !report.OK() || len(report.Manifests) != 1 || !report.Manifests[0].Holds:
		refused.Reason = "it could not be verified as a whole"
		return refused
	}
	return nil
}
