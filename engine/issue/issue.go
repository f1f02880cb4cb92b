package issue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/seen"
	"github.com/vouchmill/vouchmill/engine/store"
)

// A job is one call of Run.
type job struct {
	cfg      *Config
	run      *store.Run
	reader   *run.Reader
	appender *store.Appender
	filler   *filler
	workers  []*worker
	result   Result
	report   *progress.Reporter // may be nil
	onDisk   uint64             // vouchers reported as durable
	fresh    bool               // the run was made by this job
	stored   int64
}

// Run issues the vouchers of the list and returns when all of them are durable
// and the run is complete. When it fails or ctx is cancelled, what was issued
// before is durable and the same call continues the run; the Result then still
// tells how far it came. Where Config.Delta serves every device of the list,
// nothing is wrong and no run is made: Result.Vouchers is zero.
//
// Errors a caller may branch on: *SettingsError and *ListChangedError (nothing
// was changed), *RowError (a row ended the run), *list.ListError, the errors of
// package store, *engine.StopError (cancelled), *engine.PanicError.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	start := cfg.now()
	j := &job{cfg: &cfg}
	err := j.do(ctx)
	j.result.Elapsed = cfg.now().Sub(start)
	return &j.result, err
}

func (j *job) do(ctx context.Context) error {
	if j.cfg.Workers == 0 {
		j.cfg.Workers = runtime.GOMAXPROCS(0)
	}
	var existed bool
	var err error
	if j.run, existed, err = begin(j.cfg); err != nil {
		return err
	}
	j.fresh = !existed
	info, err := j.run.Info()
	if err != nil {
		return err
	}
	j.result.Run, j.result.Resumed, j.result.Vouchers = j.run.Name(), existed, info.Vouchers
	if info.State == store.Complete {
		j.result.AlreadyComplete, j.result.Manifest = true, j.run.Final()
		return j.begun(info.Vouchers)
	}
	if j.reader, err = run.NewReader(j.run); err != nil {
		return err
	}
	if j.appender, err = j.run.Appender(); err != nil {
		return err
	}
	_, durable := j.appender.Appended()
	if err = j.begun(durable); err == nil {
		err = j.sign(ctx, durable)
	}
	if err == nil {
		return j.finish()
	}
	return errors.Join(err, j.keep())
}

func (j *job) begun(durable uint64) (err error) {
	j.onDisk = durable
	if j.cfg.Begun != nil {
		j.report, err = j.cfg.Begun(Begun{Name: j.run.Name(), Resumed: j.result.Resumed, Durable: durable})
	}
	return err
}

// sign runs the pipeline over the list.
func (j *job) sign(ctx context.Context, durable uint64) error {
	devices, err := j.cfg.Devices()
	if err != nil {
		return err
	}
	defer devices.Close()
	if j.filler, err = j.newFiller(devices, durable); err != nil {
		return err
	}
	if j.filler.replay != nil {
		defer j.filler.replay.stop()
	}
	for range j.cfg.Workers {
		w, err := newWorker(j.cfg.Signer, j.run.Key)
		if err != nil {
			return err
		}
		j.workers = append(j.workers, w)
	}
	return engine.Run(ctx, engine.Config{Workers: j.cfg.Workers, Abort: j.cfg.Abort, Meter: j.cfg.Meter}, newBatch, engine.Stages[batch]{
		Fill:  j.filler.fill,
		Work:  func(worker int, _ uint64, b *batch) error { return j.workers[worker].work(b) },
		Sink:  func(_ uint64, b *batch) error { return j.sink(b) },
		Place: (*batch).place,
	})
}

func (j *job) newFiller(devices *list.Reader, durable uint64) (*filler, error) {
	var key [16]byte
	rand.Read(key[:])
	f := &filler{cfg: j.cfg, report: j.report, devices: devices, stored: j.reader, key: seen.NewKey(key),
		variants: newVariants(j.reader.Header, j.reader.Compiler), size: j.cfg.Signer.Algorithm().SignatureSize}
	switch devices.Format() {
	case list.FormatCSV, list.FormatNDJSON, list.FormatCBORSeq:
		f.variants.column = true
	}
	ids, err := j.run.Variants()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		b, err := j.run.Variant(id)
		if err != nil {
			return nil, err
		}
		f.variants.known(id, b)
	}
	if len(j.cfg.Delta) > 0 {
		if f.delta, err = newDelta(j.cfg.Delta, j.reader.Header); err != nil {
			return nil, err
		}
	}
	if durable > 0 {
		f.replay = newReplay(j.run, durable)
	}
	return f, nil
}

// sink hands a finished page to the store.
func (j *job) sink(b *batch) error {
	clock := stopwatch{time.Now()}
	defer clock.add(&j.stored)
	for _, v := range b.variants {
		if err := j.run.PutVariant(v.id, v.json); err != nil {
			return err
		}
	}
	if err := j.appender.Append(store.Page{Bytes: b.page, Range: &b.nodes, Keys: b.keys}); err != nil {
		return err
	}
	j.result.Signed += uint64(b.builder.Len())
	if j.report != nil {
		j.report.Issued.Add(uint64(b.builder.Len()))
		_, durable := j.appender.Durable()
		j.reportDurable(durable)
	}
	return nil
}

// reportDurable tells the reporter how much more is on disk.
func (j *job) reportDurable(durable uint64) {
	if j.report != nil && durable > j.onDisk {
		j.report.Durable.Add(durable - j.onDisk)
		j.onDisk = durable
	}
}

// keep makes what was issued before a failure durable and closes the run for
// now. A run of this job that has nothing is taken back.
func (j *job) keep() error {
	err := j.appender.Flush()
	_, j.result.Vouchers = j.appender.Durable()
	j.reportDurable(j.result.Vouchers)
	j.settle()
	err = errors.Join(err, j.appender.Close())
	if err == nil && j.fresh && j.result.Vouchers == 0 {
		err = j.cfg.Store.DeleteRun(j.run.Name())
	}
	return err
}

// finish signs the manifest and completes the run.
func (j *job) finish() error {
	j.settle()
	tree := j.appender.Tree()
	switch {
	case tree.End == 0 && j.filler.unchanged > 0:
		return j.keep() // nothing is new: there is no run
	case tree.End == 0:
		return errors.Join(ErrNoDevices, j.keep())
	}
	signed, err := j.manifest(tree.Root(), tree.End)
	if err != nil {
		return errors.Join(err, j.keep())
	}
	if err := j.appender.Finish(signed); err != nil {
		_, j.result.Vouchers = j.appender.Durable()
		return err
	}
	j.result.Vouchers, j.result.Manifest = tree.End, signed
	j.reportDurable(tree.End)
	return nil
}

func (j *job) manifest(root manifest.Digest, count uint64) ([]byte, error) {
	// Variants that only left-out rows asked for are part of the run as well:
	// they have numbers.
	for _, v := range j.filler.fresh {
		if err := j.run.PutVariant(v.id, v.json); err != nil {
			return nil, err
		}
	}
	digests, err := j.reader.TemplateDigests()
	if err != nil {
		return nil, err
	}
	h := j.reader.Header
	created, err := h.Created()
	if err != nil {
		return nil, err
	}
	m := &manifest.Manifest{Run: h.Name, Format: h.Format, Algorithm: h.Algorithm, Count: count, CreatedOn: created, TreeRoot: root}
	for _, d := range digests {
		m.Templates = append(m.Templates, manifest.Template{SHA256: d})
	}
	signed, err := manifest.Sign(m, j.cfg.Signer, j.reader.Compiler.Chain())
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", h.Name, err)
	}
	return signed, nil
}

// settle adds the goroutines' figures up.
func (j *job) settle() {
	if j.filler == nil {
		return
	}
	j.result.Rejected, j.result.Unchanged = j.filler.rejected, j.filler.unchanged
	s := &j.result.Stages
	*s = Stages{List: j.filler.nanos, Store: j.stored}
	for _, w := range j.workers {
		s.Encode += w.spent.Encode
		s.Hash += w.spent.Hash
		s.Sign += w.spent.Sign
		s.Leaf += w.spent.Leaf
		s.Page += w.spent.Page
	}
}
