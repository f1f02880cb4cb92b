package masa

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A Run is an imported run of vouchers issued in advance.
type Run struct {
	Name string
	// Manifest is the root of its manifest (manifest.Manifest.Root).
	Manifest [32]byte
	Format   codec.Format
	Vouchers uint64
	// CreatedOn and ExpiresOn are those of its vouchers, the last expires-on of
	// several; zero where one never expires.
	CreatedOn, ExpiresOn time.Time
	Imported             time.Time
	// Event is the index of its event in the audit log.
	Event uint64
}

func (r *servedRun) described() Run {
	format, _ := codec.ParseFormat(r.Format)
	d := Run{Name: r.name, Format: format, Vouchers: r.Count, CreatedOn: instant(r.Created), ExpiresOn: instant(r.Expires), Imported: instant(r.Imported), Event: r.Event}
	copy(d.Manifest[:], r.Manifest)
	return d
}

// ListRuns returns at most n imported runs in the order of their names, those
// behind the name after.
func (s *Service) ListRuns(ctx context.Context, after string, n int) ([]Run, error) {
	var list []Run
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		return r.Scan([]byte(keyRun), behind(keyRun, after), func(key, value []byte) error {
			if len(list) >= n {
				return state.ErrStop
			}
			served := servedRun{name: string(key[len(keyRun):])}
			err := decode(key, value, &served.runRecord)
			list = append(list, served.described())
			return err
		})
	})
	return list, err
}

// readers keeps a reader of each run that was asked for.
type readers struct {
	mu   sync.Mutex
	kept map[string]*run.Reader
}

// reader returns the reader of a run on record.
func (s *Service) reader(name string) (*run.Reader, error) {
	if s.cfg.Runs == nil {
		return nil, fmt.Errorf("run %s is on record and no store of runs is configured; name the one it was imported into", name)
	}
	s.readers.mu.Lock()
	defer s.readers.mu.Unlock()
	if r := s.readers.kept[name]; r != nil {
		return r, nil
	}
	stored, err := s.cfg.Runs.Run(name)
	if err != nil {
		return nil, err
	}
	r, err := run.NewReader(stored)
	if err != nil {
		return nil, err
	}
	if s.readers.kept == nil {
		s.readers.kept = make(map[string]*run.Reader)
	}
	s.readers.kept[name] = r
	return r, nil
}

// preissued is a voucher that was issued in advance.
type preissued struct {
	run  string
	body []byte
}

// findPreissued looks for a voucher of an imported run that answers a nonceless
// request: for this device, in the format wanted, not expired, pinned to a
// certificate on the requester's path. Of several runs the last imported is
// taken. Where there is none, a voucher is made.
func (a *attempt) findPreissued() error {
	runs := slices.Clone(a.dir.runs)
	slices.SortStableFunc(runs, func(x, y servedRun) int { return int(y.Event) - int(x.Event) })
	for _, served := range runs {
		if served.Format != a.answer.String() || !slices.ContainsFunc(served.Pins, a.mayPin) {
			continue
		}
		reader, err := a.s.reader(served.name)
		if err != nil {
			return err
		}
		for found, err := range reader.Find([]byte(a.device.id.Serial)) {
			if err != nil {
				return err
			}
			pin, expires, err := a.servable(reader, &found)
			if err != nil {
				return err
			}
			if pin == nil {
				continue
			}
			body, err := reader.Voucher(found)
			if err != nil {
				return err
			}
			a.pin, a.expires, a.preissued = pin, expires, &preissued{served.name, body}
			a.trail.Pass("pre-issued", "run %s has a voucher pinned to %q", served.name, pin.Subject)
			return nil
		}
	}
	return nil
}

// mayPin reports whether a key is on the requester's path or its path to the
// customer's anchor.
func (a *attempt) mayPin(key []byte) bool {
	if len(key) != len(spki{}) {
		return false
	}
	return a.who.onPath(spki(key)) || slices.ContainsFunc(a.member.path, func(c *x509.Certificate) bool { return spkiOf(c) == spki(key) })
}

// servable returns the pin of a stored voucher if it answers the request, else
// nil, and when the voucher expires.
func (a *attempt) servable(reader *run.Reader, found *run.Found) (pin *x509.Certificate, expires time.Time, err error) {
	if !a.device.isIn(found) {
		return nil, expires, nil
	}
	if expires, err = expiryOf(&found.StoredVariant.Variant); err != nil || !expires.IsZero() && !a.r.Now.Before(expires) {
		return nil, expires, err
	}
	if pin, err = x509.ParseCertificate(reader.Compiler.Pin(found.Pin)); err != nil {
		return nil, expires, err
	}
	if key := spkiOf(pin); !pin.IsCA || !a.mayPin(key[:]) {
		return nil, expires, nil
	}
	return pin, expires, nil
}

// expiryOf returns expires-on of a variant, the zero time for never.
func expiryOf(v *run.Variant) (time.Time, error) {
	if v.ExpiresOn == run.Never {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, v.ExpiresOn)
}

// holding returns the runs that hold a device, and the keys that its vouchers
// there pin. A voucher that states no issuer is taken by every device of the
// serial number, so it is in the log of each.
func (a *attempt) holding() (runs []audit.RunRef, pins []spki, err error) {
	for _, served := range a.dir.runs {
		reader, err := a.s.reader(served.name)
		if err != nil {
			return nil, nil, err
		}
		for found, err := range reader.Find([]byte(a.device.id.Serial)) {
			if err != nil {
				return nil, nil, err
			}
			if found.KeyID != nil && !a.device.isOf(found.KeyID) {
				continue
			}
			pin, err := x509.ParseCertificate(reader.Compiler.Pin(found.Pin))
			if err != nil {
				return nil, nil, err
			}
			pins = append(pins, spkiOf(pin))
			runs = append(runs, audit.RunRef{Index: served.Event, DomainID: audit.DomainID(pin)})
		}
	}
	return runs, pins, nil
}

// isIn reports whether a stored voucher is for the device. One that states no
// issuer is, where no other device has the serial number.
func (d *foundDevice) isIn(found *run.Found) bool {
	if found.KeyID == nil {
		return d.unique
	}
	return d.isOf(found.KeyID)
}

// dropHalfImported deletes what is stored and not on record.
func (s *Service) dropHalfImported() error {
	if s.cfg.Runs == nil {
		return nil
	}
	stored, err := s.cfg.Runs.Runs()
	if err != nil {
		return err
	}
	for _, info := range stored {
		var known bool
		err := s.cfg.DB.View(context.Background(), func(r state.Reader) (err error) {
			known, err = has(r, []byte(keyRun+info.Name))
			return err
		})
		if err == nil && !known {
			err = s.cfg.Runs.DeleteRun(info.Name)
		}
		if err != nil {
			return fmt.Errorf("masa: run %s: %w", info.Name, err)
		}
	}
	return nil
}

// A RunProblem is a device for which a run cannot be imported.
type RunProblem struct {
	Serial string `json:"serial-number"`
	Reason string `json:"reason"`
}

// MaxRunProblems is how many of them a RunRefusedError lists.
const MaxRunProblems = 100

// A RunRefusedError reports a run that is not imported.
type RunRefusedError struct {
	Run string
	// Reason is about the run as a whole, "" where Problems say it.
	Reason string
	// Problems are the first MaxRunProblems of Count.
	Problems []RunProblem
	Count    uint64
}

// Error names the first problem and the remedy.
func (e *RunRefusedError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("run %s is not imported: %s", e.Run, e.Reason)
	}
	first := e.Problems[0]
	return fmt.Sprintf("run %s is not imported: %d of its devices cannot be served, the first with serial number %q: %s; mend that, or issue the run without them", e.Run, e.Count, first.Serial, first.Reason)
}

func (e *RunRefusedError) add(serial []byte, format string, args ...any) {
	e.Count++
	if len(e.Problems) < MaxRunProblems {
		e.Problems = append(e.Problems, RunProblem{string(serial), fmt.Sprintf(format, args...)})
	}
}

// asUnavailable makes an error of the store of runs a decision.
func asUnavailable(err error) error {
	var refusal *decision.Refusal
	if errors.As(err, &refusal) {
		return err
	}
	return decision.Refuse(decision.Internal, "the store of imported runs: %w", err)
}
