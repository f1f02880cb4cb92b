package store

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dchest/siphash"
	"github.com/dgraph-io/badger/v4"
)

// MaxRunName is the longest name of a run, in octets.
const MaxRunName = 128

// RunSpec describes a run to be made.
type RunSpec struct {
	Name    string    // 1 to 128 of A–Z a–z 0–9 . _ -, not beginning with . or -
	Created time.Time // required
	Header  []byte    // opaque: everything that must be the same on resume
	// IndexKey keys the hash of serial numbers in the index, so that a list
	// made by someone else cannot make them collide. Zero: drawn at random.
	IndexKey [16]byte
}

// RunInfo is what the store tells about a run.
type RunInfo struct {
	ID           uint32 // grows with each run of a store
	Name         string
	State        State
	Created      time.Time
	Pages        uint32 // committed
	Vouchers     uint64 // committed
	HeaderDigest [sha256.Size]byte
}

// A Run is a handle on one run. It is safe for concurrent use.
type Run struct {
	s        *Store
	id       uint32
	name     string
	header   []byte
	k0, k1   uint64 // of the index hash
	mu       sync.Mutex
	rec      runRecord
	appender *Appender
	segments []*segmentHead // durable segments from the run's start, once loaded
	loaded   bool
	tail     *tail // of a run nobody appends to, once built
}

// CreateRun makes a run. When it returns nil the run and its header are
// durable. Errors: [*RunExistsError], [*DiskFullError], [ErrReadOnly].
func (s *Store) CreateRun(spec RunSpec) (*Run, error) {
	if err := checkRunName(spec.Name); err != nil {
		return nil, err
	}
	if spec.Created.IsZero() {
		return nil, errors.New("store: a run needs the time of its creation")
	}
	if spec.IndexKey == [16]byte{} {
		rand.Read(spec.IndexKey[:])
	}
	rec := runRecord{
		Name: spec.Name, Created: spec.Created.UnixNano(), IndexKey: spec.IndexKey,
		Header: spec.Header, Digest: sha256.Sum256(spec.Header),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	err := s.update(len(spec.Header)+1024, func(txn *badger.Txn) error {
		if _, err := txn.Get(runKey(rec.Name)); !errors.Is(err, badger.ErrKeyNotFound) {
			if err == nil {
				err = &RunExistsError{rec.Name}
			}
			return err
		}
		id, err := nextRun(txn)
		if err != nil {
			return err
		}
		rec.ID = id
		return putRun(txn, &rec)
	})
	if err == nil {
		err = s.sync()
	}
	if err != nil {
		return nil, err
	}
	r := newRun(s, rec)
	s.runs[rec.Name] = r
	return r, nil
}

// nextRun draws the next run number; numbers are never used again, so what a
// deleted run may have left behind cannot be taken for another's.
func nextRun(txn *badger.Txn) (uint32, error) {
	id := uint32(1)
	item, err := txn.Get(nextKey())
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
	case err != nil:
		return 0, err
	default:
		b, err := item.ValueCopy(nil)
		if err != nil {
			return 0, err
		}
		if len(b) != 4 {
			return 0, errors.New("the counter of runs is damaged")
		}
		id = binary.BigEndian.Uint32(b)
	}
	return id, txn.Set(nextKey(), binary.BigEndian.AppendUint32(nil, id+1))
}

func putRun(txn *badger.Txn, rec *runRecord) error {
	b, err := encodeRecord(rec)
	if err != nil {
		return err
	}
	return txn.Set(runKey(rec.Name), b)
}

func newRun(s *Store, rec runRecord) *Run {
	return &Run{
		s: s, id: rec.ID, name: rec.Name, header: rec.Header, rec: rec,
		k0: binary.LittleEndian.Uint64(rec.IndexKey[:8]),
		k1: binary.LittleEndian.Uint64(rec.IndexKey[8:]),
	}
}

func checkRunName(name string) error {
	ok := len(name) >= 1 && len(name) <= MaxRunName && name[0] != '.' && name[0] != '-'
	for _, c := range []byte(name) {
		ok = ok && (c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return fmt.Errorf("run name %q: use 1 to %d of A-Z a-z 0-9 . _ -, not beginning with . or -", name, MaxRunName)
	}
	return nil
}

// Run returns the run of that name, or a [*RunNotFoundError].
func (s *Store) Run(name string) (*Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if r := s.runs[name]; r != nil {
		return r, nil
	}
	b, err := s.get(runKey(name), nil)
	if errors.Is(err, errMissing) {
		return nil, &RunNotFoundError{name}
	}
	if err != nil {
		return nil, &DamageError{Run: name, Part: "run record", Err: err}
	}
	rec, err := parseRun(name, b)
	if err != nil {
		return nil, err
	}
	r := newRun(s, rec)
	s.runs[name] = r
	return r, nil
}

// parseRun decodes a run record and checks the digest of its header.
func parseRun(name string, b []byte) (runRecord, error) {
	var rec runRecord
	err := decodeRecord("record of run "+name, b, &rec)
	if err == nil && (rec.Name != name || sha256.Sum256(rec.Header) != rec.Digest) {
		err = &DamageError{Run: name, Part: "run record", Err: errors.New("its header does not match its digest")}
	}
	return rec, err
}

// Runs returns all runs, the newest first. A damaged record is an error that
// names the run; the runs that could be read are returned beside it.
func (s *Store) Runs() ([]RunInfo, error) {
	names, err := s.runNames()
	if err != nil {
		return nil, err
	}
	var infos []RunInfo
	var errs []error
	for _, name := range names {
		r, err := s.Run(name)
		var info RunInfo
		if err == nil {
			info, err = r.Info()
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b RunInfo) int { return int(int64(b.ID) - int64(a.ID)) })
	return infos, errors.Join(errs...)
}

func (s *Store) runNames() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	var names []string
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: runPrefix()})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			names = append(names, string(it.Item().Key()[len(runPrefix()):]))
		}
		return nil
	})
	return names, err
}

// Info returns the state of the run as of now.
func (r *Run) Info() (RunInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	info := RunInfo{
		ID: r.id, Name: r.name, State: r.rec.State, Created: r.rec.created(),
		Pages: r.rec.Pages, Vouchers: r.rec.Vouchers, HeaderDigest: r.rec.Digest,
	}
	if info.State == Unfinished {
		p, err := r.progress()
		if err != nil {
			return info, err
		}
		info.Pages, info.Vouchers = p.Pages, p.Vouchers
	}
	return info, nil
}

// Name returns the run's name.
func (r *Run) Name() string { return r.name }

// Header returns the header given to CreateRun; it must not be changed.
func (r *Run) Header() []byte { return r.header }

// Final returns the final record of a complete run; it must not be changed.
func (r *Run) Final() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rec.Final
}

// Key returns the index hash of a serial number in this run: SipHash-2-4 under
// the run's key. Workers compute it for [Page.Keys].
func (r *Run) Key(serial []byte) uint64 { return siphash.Hash(r.k0, r.k1, serial) }

// progress reads the progress record; there is none before the first page.
func (r *Run) progress() (progress, error) {
	var p progress
	b, err := r.s.get(dataKey(r.id, kindProgress), nil)
	if errors.Is(err, errMissing) {
		return p, nil
	}
	if err == nil {
		err = decodeRecord("progress of run "+r.name, b, &p)
	}
	if err != nil {
		return p, &DamageError{Run: r.name, Part: "progress", Err: err}
	}
	return p, nil
}

// PutVariant stores variant id of the run. It is durable no later than a page
// appended after it returns. The same variant may be put again with the same
// bytes; other bytes under a number in use are refused.
func (r *Run) PutVariant(id uint32, data []byte) error {
	key := dataKey(r.id, kindVariant, id)
	return r.s.update(len(data)+1024, func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return txn.Set(key, append([]byte{formatVersion}, data...))
		}
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			if len(v) == 0 || !bytes.Equal(v[1:], data) {
				return fmt.Errorf("run %s: variant %d is in the store with other content", r.name, id)
			}
			return nil
		})
	})
}

// Variant returns the bytes of variant id.
func (r *Run) Variant(id uint32) ([]byte, error) {
	b, err := r.s.get(dataKey(r.id, kindVariant, id), nil)
	if err == nil && (len(b) == 0 || b[0] != formatVersion) {
		err = errors.New("it has another format version")
	}
	if err != nil {
		return nil, &DamageError{Run: r.name, Part: "variant", Number: uint64(id), Err: err}
	}
	return b[1:], nil
}

// Variants returns the numbers of the run's variants, ascending.
func (r *Run) Variants() ([]uint32, error) {
	var ids []uint32
	prefix := dataKey(r.id, kindVariant)
	err := r.s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			ids = append(ids, binary.BigEndian.Uint32(it.Item().Key()[len(prefix):]))
		}
		return nil
	})
	return ids, err
}

func (r *Run) activeAppender() *Appender {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.appender
}
