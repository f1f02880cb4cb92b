package export

import (
	"context"
	"errors"
	"fmt"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
)

// A batch is one page and its vouchers, in the hands of one stage at a time.
type batch struct {
	number  uint32
	octets  []byte // the page
	arena   []byte // vouchers, one after the other
	scratch []byte // a voucher before its certificates are taken out
	ends    []int
	entries []bundle.Entry // views into page and arena
	nodes   merkle.Range
}

func newBatch() *batch {
	return &batch{nodes: merkle.Range{Nodes: make([]merkle.Hash, 0, merkle.MaxNodes(page.MaxVouchers))}}
}

// place says in words what b holds, for errors of the pipeline.
func (b *batch) place() string { return fmt.Sprintf("page %d", b.number) }

// export moves all pages through the pipeline.
func (j *job) export(ctx context.Context) error {
	for range j.cfg.Workers {
		r, err := j.cfg.Run.NewRebuilder()
		if err != nil {
			return err
		}
		j.rebuilders = append(j.rebuilders, r)
	}
	// Nothing that is half done is of use, so a cancellation drops it.
	err := engine.Run(ctx, engine.Config{Workers: j.cfg.Workers, Abort: ctx, Meter: j.cfg.Meter}, newBatch, engine.Stages[batch]{
		Fill:  j.fill,
		Work:  func(worker int, _ uint64, b *batch) error { return j.work(j.rebuilders[worker], b) },
		Sink:  func(_ uint64, b *batch) error { return j.sink(b) },
		Place: (*batch).place,
	})
	var stage *engine.StageError
	if errors.As(err, &stage) {
		return stage.Err // it says itself where it happened
	}
	if err != nil {
		return err
	}
	return j.whole()
}

// fill reads the next page.
func (j *job) fill(ctx context.Context, _ engine.Turn, b *batch) (more bool, err error) {
	if err := context.Cause(ctx); err != nil {
		return false, err
	}
	if j.next == j.info.Pages {
		return false, engine.ErrNoBatch
	}
	b.number = j.next
	j.next++
	b.octets, err = j.run.Page(b.number, b.octets[:0])
	return j.next < j.info.Pages, err
}

// work rebuilds the vouchers of a page and compares its Merkle nodes.
func (j *job) work(r *run.Rebuilder, b *batch) error {
	if err := r.Page(b.number, b.octets); err != nil {
		return err
	}
	view := r.View()
	b.arena, b.ends, b.entries = b.arena[:0], b.ends[:0], b.entries[:0]
	for i := range view.Count() {
		if err := j.voucher(r, b, i); err != nil {
			return err
		}
		b.ends = append(b.ends, len(b.arena))
	}
	begin := 0
	for i, end := range b.ends {
		v := r.Variant(i)
		e := bundle.Entry{Serial: view.Serial(i), IssuerKeyID: v.KeyID, Format: j.cfg.Run.Compiler.Format(), Voucher: b.arena[begin:end:end]}
		if v.Include {
			e.Issuer = v.Issuer
		}
		if j.shared != nil {
			var err error
			if e.Shared, err = j.shared.has(e.Serial, v.KeyID); err != nil {
				return err
			}
		}
		b.entries = append(b.entries, e)
		begin = end
	}
	return r.Range(&b.nodes)
}

// voucher appends voucher i of the page to the arena.
func (j *job) voucher(r *run.Rebuilder, b *batch, i int) error {
	var err error
	if !j.strip {
		b.arena, err = r.AppendVoucher(b.arena, i)
		return err
	}
	if b.scratch, err = r.AppendVoucher(b.scratch[:0], i); err != nil {
		return err
	}
	b.arena, err = codec.StripCertificates(b.arena, b.scratch)
	return err
}

// sink writes the vouchers of a page, in run order.
func (j *job) sink(b *batch) error {
	if err := j.tree.Merge(&b.nodes, nil); err != nil {
		return &store.DamageError{Run: j.info.Name, Part: "page", Number: uint64(b.number), Err: err}
	}
	for i := range b.entries {
		if err := j.writer.Add(&b.entries[i]); err != nil {
			return err
		}
		if b.entries[i].Shared {
			j.result.Shared++
		}
	}
	j.result.Vouchers += uint64(len(b.entries))
	if p := j.cfg.Progress; p != nil {
		p.Issued.Store(j.result.Vouchers)
	}
	return nil
}

// whole makes sure that what was written is the whole run.
func (j *job) whole() error {
	damaged := func(part string, err error) error {
		return &store.DamageError{Run: j.info.Name, Part: part, Err: err}
	}
	if j.result.Vouchers != j.info.Vouchers {
		return damaged("tree", fmt.Errorf("its pages hold %d vouchers, it counts %d", j.result.Vouchers, j.info.Vouchers))
	}
	if j.signed == nil {
		return nil
	}
	m := j.signed.Manifest
	if root := manifest.Digest(j.tree.Root()); m.Count != j.result.Vouchers || m.TreeRoot != root {
		return damaged("tree", fmt.Errorf("it has %d vouchers and root %v, its manifest states %d and %v", j.result.Vouchers, root, m.Count, m.TreeRoot))
	}
	digests, err := j.cfg.Run.TemplateDigests()
	if err != nil {
		return err
	}
	if len(digests) != len(m.Templates) {
		return damaged("variant", fmt.Errorf("there are %d, its manifest states %d", len(digests), len(m.Templates)))
	}
	for i, d := range digests {
		if d != m.Templates[i].SHA256 {
			return &store.DamageError{Run: j.info.Name, Part: "variant", Number: uint64(i), Err: errors.New("its template is not the one the manifest states")}
		}
	}
	return nil
}
