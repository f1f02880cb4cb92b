package issue

import (
	"crypto/sha256"
	"time"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/sign"
)

// Stages is processor time, in nanoseconds, by what it was spent on, summed
// over the goroutines.
type Stages struct {
	List   int64 // reading, checking, duplicates
	Encode int64 // contents
	Hash   int64
	Sign   int64
	Leaf   int64 // Merkle leaves and nodes
	Page   int64 // page bytes and checksum
	Store  int64 // handing pages to the store
}

// A StageTime is the time of one stage.
type StageTime struct {
	Name  string
	Nanos int64
}

// Table lists the stages in the order a voucher goes through them.
func (s *Stages) Table() []StageTime {
	return []StageTime{{"list", s.List}, {"encode", s.Encode}, {"hash", s.Hash}, {"sign", s.Sign}, {"leaf", s.Leaf}, {"page", s.Page}, {"store", s.Store}}
}

// A worker turns filled batches into pages. It belongs to one goroutine.
type worker struct {
	signer  sign.Signer
	key     func(serial []byte) uint64 // of the store's index
	maker   *run.Maker
	tree    *merkle.Builder
	serials [][]byte
	leaves  []byte
	spent   Stages
	_       [64]byte // keep the workers' counters on lines of their own
}

func newWorker(signer sign.Signer, key func([]byte) uint64) (*worker, error) {
	maker, err := run.NewMaker(signer.Algorithm())
	if err != nil {
		return nil, err
	}
	hasher, err := sign.NewHasher(sign.SHA256)
	if err != nil {
		return nil, err
	}
	return &worker{signer: signer, key: key, maker: maker, tree: merkle.NewBuilder(hasher), serials: make([][]byte, 0, page.MaxVouchers),
		leaves: make([]byte, page.MaxVouchers*sha256.Size)}, nil
}

// work encodes, hashes and signs b and builds its page.
func (w *worker) work(b *batch) error {
	clock := stopwatch{time.Now()}
	w.serials = b.builder.AppendSerials(w.serials[:0])
	if err := w.maker.Encode(w.serials, b.templates); err != nil {
		return err
	}
	clock.add(&w.spent.Encode)
	if err := w.maker.Hash(); err != nil {
		return err
	}
	clock.add(&w.spent.Hash)
	signatures := b.builder.Signatures()
	if err := w.signer.SignBatch(signatures, w.maker.Inputs()); err != nil {
		return err
	}
	clock.add(&w.spent.Sign)
	if err := w.maker.Leaves(w.leaves, signatures); err != nil {
		return err
	}
	if err := w.tree.Build(&b.nodes, b.builder.First(), w.leaves[:len(w.serials)*sha256.Size]); err != nil {
		return err
	}
	clock.add(&w.spent.Leaf)
	for _, s := range w.serials {
		b.keys = append(b.keys, w.key(s))
	}
	var err error
	b.page, err = b.builder.Finish(b.nodes.Nodes)
	clock.add(&w.spent.Page)
	return err
}

// A stopwatch splits elapsed time among stages.
type stopwatch struct{ last time.Time }

func (s *stopwatch) add(to *int64) {
	now := time.Now()
	*to += int64(now.Sub(s.last))
	s.last = now
}
