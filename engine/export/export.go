package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// Config is one export. Run and either Path or Stream are needed, the rest may
// be zero.
type Config struct {
	Run *run.Reader
	// Path is the bundle to be made; see [bundle.KindOf] for what its name says.
	Path string
	// Stream, when not nil, is written to instead, and Path only what errors call
	// it. What was written before a failure stays written.
	Stream io.Writer
	// Bundle forces kind and compression and says whether a file may be replaced.
	// Its Manifest and ModTime are set by Run.
	Bundle bundle.Options
	// NoManifest leaves the manifest out, for a Stream that has no place for it.
	NoManifest bool
	// Unfinished allows an unfinished run, as far as its vouchers are in the
	// store. Its bundle has no manifest.
	Unfinished bool
	// ForPledge leaves the certificates out of COSE vouchers, as a registrar does
	// for a constrained pledge. CMS and JWS vouchers stay as they are: there the
	// certificates are part of what the pledge needs, or of what was signed.
	ForPledge bool
	// Workers is the number of goroutines that rebuild vouchers, zero for one a
	// processor.
	Workers int
	// Progress, when not nil, is kept up to date.
	Progress *progress.Reporter
	// Meter, when not nil, collects where the pipeline's time goes.
	Meter *engine.Meter
}

// Result is what an export did.
type Result struct {
	Run      string `json:"run"`
	Vouchers uint64 `json:"vouchers"`
	Shared   uint64 `json:"shared-serial-numbers"` // vouchers whose names carry the issuer
	Manifest bool   `json:"manifest"`              // the bundle has one
}

// ErrUnfinished is wrapped by the error for an unfinished run that was not asked
// for as such.
var ErrUnfinished = errors.New("the run is unfinished")

// A job is one call of Run.
type job struct {
	cfg    *Config
	run    *store.Run
	info   store.RunInfo
	signed *manifest.Signed // nil for an unfinished run
	shared *shared          // nil where no serial number is shared
	strip  bool

	next uint32 // the filler's: page to be read
	// The workers', one each.
	rebuilders []*run.Rebuilder
	// The sink's.
	writer *bundle.Writer
	tree   merkle.Range
	result Result
}

// Run writes the bundle and returns when it is durable under its name. After an
// error, or when ctx was cancelled, there is nothing under that name that was
// not there before. Errors a caller may branch on: [*store.DamageError],
// [ErrUnfinished], [*bundle.Error], [*engine.StopError].
func Run(ctx context.Context, cfg Config) (*Result, error) {
	j, err := begin(&cfg)
	if err != nil {
		return nil, err
	}
	opts, err := j.options()
	if err != nil {
		return nil, err
	}
	if named(opts.Kind) {
		if j.shared, err = findShared(ctx, cfg.Run); err != nil {
			return nil, err
		}
	}
	if cfg.Stream != nil {
		j.writer, err = bundle.NewStream(cfg.Stream, cfg.Path, opts)
	} else {
		j.writer, err = bundle.Create(cfg.Path, opts)
	}
	if err != nil {
		return nil, err
	}
	if err := j.export(ctx); err != nil {
		return nil, errors.Join(err, j.writer.Abort())
	}
	if err := j.writer.Commit(); err != nil {
		return nil, err
	}
	return &j.result, nil
}

// begin looks at the run and refuses what cannot be exported.
func begin(cfg *Config) (*job, error) {
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	j := &job{cfg: cfg, run: cfg.Run.Run, strip: cfg.ForPledge && cfg.Run.Compiler.Format() == codec.FormatCOSE}
	var err error
	if j.info, err = j.run.Info(); err != nil {
		return nil, err
	}
	j.result.Run = j.info.Name
	switch j.info.State {
	case store.Complete:
		if j.signed, err = manifest.Parse(j.run.Final()); err != nil {
			return nil, &store.DamageError{Run: j.info.Name, Part: "run record", Err: err}
		}
		return j, j.checkManifest()
	case store.Unfinished:
		if !cfg.Unfinished {
			return nil, fmt.Errorf("run %s: %w, with %d vouchers so far; finish it by the command that began it, or ask for an unfinished one", j.info.Name, ErrUnfinished, j.info.Vouchers)
		}
		return j, nil
	}
	return nil, &store.RunStateError{Name: j.info.Name, State: j.info.State, Op: "export"}
}

// checkManifest verifies that the manifest is the run's, under its own
// certificate: who that is, whoever receives the bundle judges.
func (j *job) checkManifest() error {
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		return err
	}
	err = j.signed.VerifySignature(verifier)
	if err == nil && !j.signed.Chain[0].Equal(j.cfg.Run.Compiler.Chain()[0]) {
		err = errors.New("its manifest is signed by another certificate than its vouchers")
	}
	if err == nil && j.signed.Manifest.Run != j.info.Name {
		err = fmt.Errorf("its manifest is that of run %q", j.signed.Manifest.Run)
	}
	if err != nil {
		return &store.DamageError{Run: j.info.Name, Part: "run record", Err: err}
	}
	return nil
}

// options completes those of the bundle.
func (j *job) options() (bundle.Options, error) {
	opts := j.cfg.Bundle
	if opts.Kind == bundle.KindUnknown {
		var err error
		if opts.Kind, opts.Compression, err = bundle.KindOf(j.cfg.Path); err != nil {
			return opts, err
		}
	}
	var err error
	if opts.ModTime, err = j.cfg.Run.Header.Created(); err != nil {
		return opts, err
	}
	opts.Manifest = nil
	if j.signed != nil && !j.cfg.NoManifest {
		opts.Manifest, j.result.Manifest = j.run.Final(), true
	}
	return opts, nil
}

// named reports whether a kind of bundle has a file name for each voucher.
func named(kind bundle.Kind) bool { return kind == bundle.KindTar || kind == bundle.KindDir }
