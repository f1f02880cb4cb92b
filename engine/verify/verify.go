package verify

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/sign"
)

// Config is one verification. Sources and Trust.Anchors are needed, the rest may
// be zero.
type Config struct {
	Sources []Source
	Trust   Trust
	Expect  Expectation
	// Limits bounds what is read of a voucher. Vouchers of a stored run may have
	// serial numbers as long as the run allows, whatever is said here.
	Limits codec.Limits
	// Failed, when not nil, is told every failure, in the order of sources and
	// vouchers, on one goroutine; expected devices without a voucher come last.
	// An error ends the verification.
	Failed func(*Failure) error
	// Workers is the number of checking goroutines, zero for one a processor.
	Workers int
	// Progress, when not nil, is kept up to date; failed vouchers count as
	// rejected.
	Progress *progress.Reporter
	// Meter, when not nil, collects where the pipeline's time goes.
	Meter *engine.Meter
}

// A job is one call of Run.
type job struct {
	cfg    *Config
	report *Report
	checks map[Check]bool

	// The filler's.
	feed     feed
	source   *source
	position uint64
	nextOf   int // of cfg.Sources, to be opened

	checkers []*checker

	// The sink's.
	chains   *chains // for manifests
	verifier sign.Verifier
}

// Run checks all vouchers of all sources. That vouchers fail is no error: the
// report says so, and Config.Failed was told each. The error is one of
// [ErrNoAnchor], of Config.Failed, or of the pipeline ([*engine.StopError] where
// ctx was cancelled); the report then tells how far it came.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if len(cfg.Trust.Anchors) == 0 {
		return nil, ErrNoAnchor
	}
	if cfg.Trust.At.IsZero() {
		cfg.Trust.At = time.Now()
	}
	if cfg.Expect.Serials != nil {
		cfg.Expect.Serials.reset()
	}
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	j := &job{cfg: &cfg, chains: newChains(&cfg.Trust), checks: map[Check]bool{},
		report: &Report{At: cfg.Trust.At.UTC(), Formats: map[string]uint64{}, Failures: map[Check]uint64{}}}
	var err error
	if j.verifier, err = sign.NewVerifier(sign.VerifierOptions{}); err != nil {
		return nil, err
	}
	for range cfg.Workers {
		c, err := newChecker(&cfg.Trust, &cfg.Expect, cfg.Limits)
		if err != nil {
			return nil, err
		}
		j.checkers = append(j.checkers, c)
	}
	err = engine.Run(ctx, engine.Config{Workers: cfg.Workers, Meter: cfg.Meter}, newBatch, engine.Stages[batch]{
		Fill:  j.fill,
		Work:  func(worker int, _ uint64, b *batch) error { return j.checkers[worker].check(b) },
		Sink:  func(_ uint64, b *batch) error { return j.sink(b) },
		Place: (*batch).describe,
	})
	var stage *engine.StageError
	if errors.As(err, &stage) {
		err = stage.Err // it says itself where it happened
	}
	if j.feed != nil {
		err = errors.Join(err, j.feed.close())
	}
	if err == nil {
		err = j.missing()
	}
	j.finish()
	return j.report, err
}

// fill reads the next batch, of one source only.
func (j *job) fill(ctx context.Context, _ engine.Turn, b *batch) (more bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return false, err
	}
	if j.feed == nil && j.nextOf == len(j.cfg.Sources) {
		return false, engine.ErrNoBatch
	}
	opened := j.feed == nil
	if opened && !j.open(b) {
		return j.nextOf < len(j.cfg.Sources), nil
	}
	b.reset(j.source, j.position)
	b.opened = opened
	b.last = j.feed.fill(b)
	j.position += uint64(len(b.items))
	if b.last {
		if err := j.feed.close(); err != nil && b.ended == nil {
			b.ended = found(CheckRead, "", "%v", err).at(j.source.name, "")
		}
		j.feed, j.source = nil, nil
	}
	return j.feed != nil || j.nextOf < len(j.cfg.Sources), nil
}

// open opens the next source. Where that fails, b says so in its place.
func (j *job) open(b *batch) bool {
	next := j.cfg.Sources[j.nextOf]
	j.nextOf++
	opened, src, err := next.open()
	if err != nil {
		b.reset(&source{name: next.name, cut: true}, 0)
		b.opened, b.last = true, true
		b.ended = found(CheckRead, "", "%v", err).at(next.name, "")
		return false
	}
	src.serialBytes = max(src.serialBytes, j.cfg.Limits.SerialBytes)
	j.feed, j.source, j.position = opened, src, 0
	return true
}

// finish completes the report.
func (j *job) finish() {
	j.checks[CheckRead] = true
	j.checks[CheckSerial] = j.cfg.Expect.Serials != nil
	for _, c := range []Check{CheckEnvelope, CheckAlgorithm, CheckChain, CheckSignature, CheckPayload, CheckRules, CheckTime, CheckEntry} {
		j.checks[c] = j.report.Vouchers > 0
	}
	j.checks[CheckPin] = len(j.cfg.Expect.Pins) > 0 && j.report.Vouchers > 0
	j.checks[CheckIssuer] = j.cfg.Expect.IssuerKeyID != nil && j.report.Vouchers > 0
	j.report.Checks = sorted(j.checks)
}
