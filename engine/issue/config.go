package issue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// OnError says what a row that cannot be used does to the run.
type OnError uint8

const (
	// Stop ends the run at the row. What precedes its page is issued and
	// durable; with the list mended, the same command continues.
	Stop OnError = iota
	// Skip leaves the row out and counts it.
	Skip
)

// Config is one issuing job. Store, Header, Signer and Devices are needed, the
// rest may be zero.
type Config struct {
	Store *store.Store

	// Header has all settings. Where its Name is empty, an unfinished run with
	// the same settings is continued, else a new one begun under a made-up
	// name. Where its CreatedOn is empty, it is Now or that of the run found.
	Header run.Header

	// Signer signs with the key of the first certificate of Header.Chain. It
	// stays the caller's to close.
	Signer sign.Signer

	// Devices opens the device list from its start. It is called once.
	Devices func() (*list.Reader, error)

	OnError OnError
	// Rejects, when set, takes every row that was left out.
	Rejects *list.Rejects

	// Delta are older runs, newest first (see OpenDelta): devices whose newest
	// voucher there is still good are left out (see Header.RenewBefore).
	Delta []*run.Reader

	// Workers is the number of signing goroutines, zero for one a processor.
	Workers int
	// Abort, when cancelled, drops what is not yet in the store; the context
	// given to Run finishes it.
	Abort context.Context

	// Now and Random replace the clock and the source of run names in tests.
	Now    func() time.Time
	Random func([]byte) error

	// Begun, when not nil, is told the run's name before anything is signed. The
	// reporter it returns, if any, is kept up to date while the run goes on.
	Begun func(Begun) (*progress.Reporter, error)
	// Meter, when not nil, collects where the pipeline's time goes.
	Meter *engine.Meter
}

// Begun says which run a job works on.
type Begun struct {
	Name    string
	Resumed bool   // the run existed
	Durable uint64 // vouchers it had
}

// Result is what a job did.
type Result struct {
	Run             string        `json:"run"`
	Resumed         bool          `json:"resumed"`
	AlreadyComplete bool          `json:"already-complete"`
	Vouchers        uint64        `json:"vouchers"`  // in the run, durable
	Signed          uint64        `json:"signed"`    // by this job
	Rejected        uint64        `json:"rejected"`  // rows left out
	Unchanged       uint64        `json:"unchanged"` // left out because Delta has them
	Elapsed         time.Duration `json:"elapsed-ns"`
	Stages          Stages        `json:"-"`
	Manifest        []byte        `json:"-"` // the signed manifest of a complete run
}

// A SettingsError reports a run whose settings are not those asked for.
type SettingsError struct {
	Run         string
	Differences []run.Difference
}

// Error lists the differences, one a line.
func (e *SettingsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "run %s exists with other settings:", e.Run)
	for _, d := range e.Differences {
		fmt.Fprintf(&b, "\n  %s", d)
	}
	b.WriteString("\nchoose another --run, or give the settings the run has")
	return b.String()
}

// A RowError reports the row that ended a run.
type RowError struct{ Err error }

// Error names the row and says what became of the rest.
func (e *RowError) Error() string {
	return e.Err.Error() + "; the run stopped here: mend the row and repeat the command, or leave such rows out with --on-error skip"
}

// Unwrap gives the row's own error, a *list.RowError.
func (e *RowError) Unwrap() error { return e.Err }

// A ListChangedError reports a device list that is not the one the run began
// with: the first row that differs from what is durable.
type ListChangedError struct {
	Run    string
	Place  string // where in the list
	Reason string
}

// Error names the row and the remedy.
func (e *ListChangedError) Error() string {
	return fmt.Sprintf("%s: run %s %s; resume with the list it began with, or name a new --run", e.Place, e.Run, e.Reason)
}

// ErrNoDevices is returned for a list without a single usable row.
var ErrNoDevices = errors.New("the device list has no device that can be issued a voucher")
