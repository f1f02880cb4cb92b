package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/vouchmill/vouchmill/engine/internal/badgerdir"
)

// Options say how a directory is opened. The zero value opens an existing one
// for reading and writing.
type Options struct {
	// Create makes the directory (0700) and the DB in it when it is missing or
	// empty.
	Create bool
	// ReadOnly opens the DB for reading. One that was not closed cleanly is
	// recovered first, which writes.
	ReadOnly bool
	// MinFreeBytes is the floor of free space: below it every Update returns a
	// *FullError before it runs anything, until there is space again. Badger
	// writes through memory maps, where a full disk kills the process, so what it
	// may write in the background is kept free on top. Default 256 MiB.
	MinFreeBytes uint64
	// Free returns the free octets of the file system that holds dir. Default:
	// what the operating system says.
	Free func(dir string) (uint64, error)
}

const (
	formatKind    = "vouchmill state"
	formatVersion = 1

	// memTableSize gives transactions of 15 % of it, 1.2 MiB: more than
	// MaxUpdateBytes and what Badger adds to each of MaxUpdateEntries.
	memTableSize = 8 << 20
	// valueLogSize is what a file of the value log has; only values of MaxInline
	// and more go there.
	valueLogSize = 64 << 20
	// background is what Badger may write while nothing is written to it: the
	// memory tables as tables, and the logs of new ones.
	background = 4 * memTableSize
)

// A Badger is a DB on disk. Make one with [Open].
type Badger struct {
	*core
	disk *disk
}

// Recovered reports whether the directory had not been closed cleanly and was
// recovered by Open.
func (b *Badger) Recovered() bool { return b.disk.recovered }

// Dir returns the directory that was opened.
func (b *Badger) Dir() string { return b.disk.dir }

// disk is the backend of a Badger.
type disk struct {
	dir       string
	opt       Options
	db        *badger.DB
	lock      *badgerdir.Lock
	syncer    *badgerdir.Syncer
	recovered bool
}

// Open opens the DB in dir and takes its lock. Errors a caller may branch on
// are [*NotStateError], [*LockedError], [*VersionError], [*PermissionError] and
// [*FullError].
func Open(dir string, opts Options) (*Badger, error) {
	if opts.MinFreeBytes == 0 {
		opts.MinFreeBytes = 256 << 20
	}
	if opts.Free == nil {
		opts.Free = badgerdir.FreeSpace
	}
	if err := prepareDir(dir, opts); err != nil {
		return nil, err
	}
	lock, err := badgerdir.Acquire(dir, opts.ReadOnly)
	var held *badgerdir.HeldError
	if errors.As(err, &held) {
		return nil, &LockedError{Dir: dir, PID: held.PID}
	}
	d := &disk{dir: dir, opt: opts, lock: lock}
	if err != nil {
		return nil, d.openError(err)
	}
	if err := d.open(); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return &Badger{core: newCore(d), disk: d}, nil
}

// prepareDir makes the directory if asked to, and refuses a foreign one.
func prepareDir(dir string, opt Options) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && opt.Create && !opt.ReadOnly:
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return &PermissionError{Dir: dir, Err: err}
		}
		return badgerdir.SyncDir(filepath.Dir(dir))
	case errors.Is(err, fs.ErrNotExist):
		return &NotStateError{dir, "there is no such directory"}
	case err != nil:
		return fmt.Errorf("state %s: %w", dir, err)
	case !info.IsDir():
		return &NotStateError{dir, "it is a file, state is kept in a directory"}
	}
	found, ok, err := badgerdir.ReadFormat(dir, formatKind)
	switch {
	case errors.Is(err, badgerdir.ErrNoFormat):
		return prepareEmpty(dir, opt)
	case err != nil:
		return fmt.Errorf("state %s: %w", dir, err)
	case !ok:
		return &NotStateError{dir, "its " + badgerdir.FormatName + " file tells something else"}
	case found != fmt.Sprint(formatVersion):
		return &VersionError{Dir: dir, Found: found}
	}
	return nil
}

// prepareEmpty looks at a directory without a format file.
func prepareEmpty(dir string, opt Options) error {
	stranger, err := badgerdir.Stranger(dir)
	switch {
	case err != nil:
		return fmt.Errorf("state %s: %w", dir, err)
	case stranger != "":
		return &NotStateError{dir, "the directory holds something else (" + stranger + ")"}
	case !opt.Create || opt.ReadOnly:
		return &NotStateError{dir, "the directory is empty"}
	}
	return nil
}

// open opens Badger under the lock that is already held.
func (d *disk) open() error {
	// Badger leaves its process file behind when it is not closed.
	_, err := os.Stat(filepath.Join(d.dir, "LOCK"))
	d.recovered = err == nil
	readOnly := d.opt.ReadOnly && !d.recovered
	if !readOnly {
		if err := d.need(background); err != nil {
			return err
		}
		if err := badgerdir.WriteFormat(d.dir, formatKind, formatVersion); err != nil {
			return d.openError(err)
		}
		if err := badgerdir.Shield(d.dir); err != nil {
			return d.openError(err)
		}
	}
	large, err := d.valueLog() // Badger makes a file longer than what is in it
	if err != nil {
		return d.openError(err)
	}
	if d.db, err = badger.Open(badgerOptions(d.dir, readOnly)); err != nil {
		return d.openError(err)
	}
	d.syncer = badgerdir.NewSyncer(d.dir, d.db)
	if readOnly {
		return nil
	}
	// What a killed process committed and did not sync is read from now on.
	if err = d.syncer.Sync(); err == nil && large >= valueLogSize { // else a look at every key is not worth it
		err = d.reclaim()
	}
	if err != nil {
		return errors.Join(d.openError(err), d.db.Close())
	}
	return nil
}

func (d *disk) openError(err error) error {
	if badgerdir.NotWritable(err) {
		return &PermissionError{Dir: d.dir, Err: err, Unclean: d.recovered && d.opt.ReadOnly}
	}
	return fmt.Errorf("state %s cannot be opened: %w", d.dir, err)
}

// badgerOptions: one writer, small values, and memory that does not grow.
func badgerOptions(dir string, readOnly bool) badger.Options {
	return badger.DefaultOptions(dir).
		WithReadOnly(readOnly).
		WithLogger(nil).
		WithMetricsEnabled(false).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithDetectConflicts(false).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithValueThreshold(MaxInline).
		WithValueLogFileSize(valueLogSize).
		// Every table is read and checked when it is opened. Not when a block is
		// read: Badger takes a block that fails for one without the key, and a device
		// without a record is one that nobody owns. Values have a checksum of ours.
		WithChecksumVerificationMode(options.OnTableRead).
		WithVerifyValueChecksum(true)
}

func (d *disk) crashed() <-chan struct{} { return nil }

// room says whether an Update may begin.
func (d *disk) room() error {
	if d.opt.ReadOnly {
		return ErrReadOnly
	}
	return d.need(d.opt.MinFreeBytes + background + MaxUpdateLarge)
}

func (d *disk) need(octets uint64) error {
	free, err := d.opt.Free(d.dir)
	if err != nil {
		return fmt.Errorf("state %s: free space: %w", d.dir, err)
	}
	if free < octets {
		return &FullError{Dir: d.dir, Free: free, Need: octets}
	}
	return nil
}

const (
	// A stored value is an octet that tells its form, the CRC-32C of key and value,
	// and the value.
	plainValue  = 1
	valueHeader = 5
	// A stored key begins with an octet too: some keys are Badger's own.
	plainKey = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func storedKey(key []byte) []byte { return append([]byte{plainKey}, key...) }

func storedValue(key, value []byte) []byte {
	b := make([]byte, 0, valueHeader+len(value))
	b = binary.LittleEndian.AppendUint32(append(b, plainValue), checksum(key, value))
	return append(b, value...)
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// plain is the inverse of storedValue. ok is false for what it did not make,
// such as the empty value with which Badger says that it could not read one.
func plain(key, stored []byte) (value []byte, ok bool) {
	if len(stored) < valueHeader || stored[0] != plainValue {
		return nil, false
	}
	value = stored[valueHeader:]
	return value, binary.LittleEndian.Uint32(stored[1:]) == checksum(key, value)
}

func (d *disk) commit(w *overlay) error {
	txn := d.db.NewTransaction(true)
	defer txn.Discard()
	err := w.each(func(n *node) error {
		if n.deleted {
			return txn.Delete(storedKey(n.key))
		}
		return txn.Set(storedKey(n.key), storedValue(n.key, n.value))
	})
	if err == nil {
		err = txn.Commit()
	}
	if err == nil {
		err = d.syncer.Sync()
	}
	return err
}

func (d *disk) snapshot() snapshot {
	return &badgerSnapshot{dir: d.dir, txn: d.db.NewTransaction(false)}
}

func (d *disk) release() error { return errors.Join(d.db.Close(), d.lock.Release()) }

// reclaim gives back the space of values of MaxInline and more that were
// replaced or deleted. It is done when the DB is opened because Badger deletes a
// file of the value log under whoever is about to read from it.
//
// Badger stops reading a file at the first damaged entry and would take what
// follows for unused, so nothing is done unless all such values are sound. And
// it deletes a file without syncing what it copied out of it, unless an iterator
// is open: so one is, until the copies are durable.
func (d *disk) reclaim() error {
	txn := d.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if it.Item().ValueSize() < MaxInline/2 { // an estimate; those in between are inline
			continue
		}
		sound := false
		err := it.Item().Value(func(stored []byte) error {
			_, sound = plain(it.Item().Key()[1:], stored)
			return nil
		})
		if err != nil || !sound {
			return nil // whoever reads it is told
		}
	}
	for {
		if d.need(valueLogSize+background) != nil {
			return nil
		}
		switch err := d.db.RunValueLogGC(0.5); {
		case errors.Is(err, badger.ErrNoRewrite):
			return d.syncer.Sync()
		case err != nil:
			return errors.Join(err, d.syncer.Sync())
		}
	}
}

// valueLog returns the octets the files of the value log have.
func (d *disk) valueLog() (octets int64, err error) {
	paths, err := filepath.Glob(filepath.Join(d.dir, "*.vlog"))
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		octets += info.Size()
	}
	return octets, err
}

// badgerSnapshot is a read-only transaction, which goroutines may share.
type badgerSnapshot struct {
	dir string
	txn *badger.Txn
}

func (s *badgerSnapshot) get(key []byte) ([]byte, error) {
	item, err := s.txn.Get(storedKey(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, &DamageError{s.dir, bytes.Clone(key), err}
	}
	var value []byte
	err = s.value(item, key, func(v []byte) error {
		value = append([]byte{}, v...)
		return nil
	})
	return value, err
}

// value calls f with the value of an item.
func (s *badgerSnapshot) value(item *badger.Item, key []byte, f func(v []byte) error) error {
	sound := false
	var ferr error
	err := item.Value(func(stored []byte) error {
		var v []byte
		if v, sound = plain(key, stored); sound {
			ferr = f(v)
		}
		return nil
	})
	switch {
	case err != nil:
		return &DamageError{s.dir, bytes.Clone(key), err}
	case !sound:
		return &DamageError{s.dir, bytes.Clone(key), errUnreadable}
	}
	return ferr
}

func (s *badgerSnapshot) scan(prefix, after []byte, f func(key, value []byte) error) error {
	it := s.txn.NewIterator(badger.IteratorOptions{Prefix: storedKey(prefix)})
	defer it.Close()
	for it.Seek(storedKey(scanStart(prefix, after))); it.Valid(); it.Next() {
		item := it.Item()
		key := item.Key()[1:]
		if after != nil && bytes.Equal(key, after) {
			continue
		}
		if err := s.value(item, key, func(v []byte) error { return f(key, v) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *badgerSnapshot) release() { s.txn.Discard() }
