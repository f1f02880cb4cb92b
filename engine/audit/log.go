package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// The keys of this package. Numbers have 8 octets, big-endian, so that they sort;
// H is the SHA-256 of device.ID.AppendKey.
//
//	audit/n                the number of events
//	audit/h NUMBER         a hash of the tree, by its tlog stored-hash index
//	audit/r INDEX          the record of an event
//	audit/p INDEX          its private part
//	audit/d H ^INDEX       an event of a device, the newest first: nonced octet, domainID
//	audit/s H n DOMAINID   how many events, nonced (n = 1) or not (0), of a device and
//	                       domain there are, and the index of the newest
//	audit/u RUN 00 INDEX   an event of a run, by name
const (
	keySize    = "audit/n"
	keyHash    = "audit/h"
	keyRecord  = "audit/r"
	keyPrivate = "audit/p"
	keyDevice  = "audit/d"
	keySummary = "audit/s"
	keyRun     = "audit/u"
)

func numbered(prefix string, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), n)
}

func deviceKey(prefix string, id device.ID) []byte {
	h := sha256.Sum256(id.AppendKey(nil))
	return append([]byte(prefix), h[:]...)
}

// A Log is the audit log of a MASA, kept in a state.DB beside the rest of its
// state. It holds the key that signs heads, no state. It is safe for concurrent
// use.
type Log struct {
	signer *Signer
	rand   io.Reader
}

// New makes a Log. Salts are read from rand, which must be safe for concurrent
// use and fit for keys (crypto/rand.Reader).
func New(signer *Signer, rand io.Reader) (*Log, error) {
	if signer == nil || rand == nil {
		return nil, errors.New("audit: no signer of heads or no source of salts is given")
	}
	return &Log{signer, rand}, nil
}

// Signer returns the signer of heads.
func (l *Log) Signer() *Signer { return l.signer }

// Append adds an event to the log, and returns its index. The event is in the
// log if and only if tx is committed: put what it is about into the same tx, and
// let nothing out before that is durable. Errors are *[EventError], *[DamageError]
// or those of tx; after one, tx must fail.
func (l *Log) Append(tx state.Tx, e *Event) (index uint64, err error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(l.rand, salt); err != nil {
		return 0, fmt.Errorf("audit: salt: %w", err)
	}
	private, err := e.private(salt)
	if err != nil {
		return 0, err
	}
	record, err := e.record(private)
	if err != nil {
		return 0, err
	}
	if index, err = size(tx); err != nil {
		return 0, err
	}
	if err := vacant(tx, index); err != nil {
		return 0, err
	}
	if err := extend(tx, index, tlog.RecordHash(record)); err != nil {
		return 0, err
	}
	if err := errors.Join(
		tx.Set(numbered(keyRecord, index), record),
		tx.Set(numbered(keyPrivate, index), private),
		tx.Set([]byte(keySize), binary.BigEndian.AppendUint64(nil, index+1)),
	); err != nil {
		return 0, err
	}
	if e.Kind == RunImported {
		return index, tx.Set(numbered(keyRun+e.Run+"\x00", index), nil)
	}
	return index, indexDevice(tx, e, index)
}

// vacant tells whether the event of an index can be written: a log whose size
// was lost would otherwise be written over.
func vacant(r state.Reader, index uint64) error {
	if index >= MaxSize {
		return fmt.Errorf("audit: the log is full, it has %d events", index)
	}
	_, err := r.Get(numbered(keyRecord, index))
	switch {
	case err == nil:
		return &DamageError{"size", index, errors.New("there are more events than it says")}
	case errors.Is(err, state.ErrNotFound):
		return nil
	}
	return err
}

// extend adds the hash of a leaf to the tree.
func extend(tx state.Tx, index uint64, leaf Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(int64(index), leaf, hashReader{tx})
	if err != nil {
		return err
	}
	at := uint64(tlog.StoredHashIndex(0, int64(index)))
	for i, h := range hashes {
		if err := tx.Set(numbered(keyHash, at+uint64(i)), h[:]); err != nil {
			return err
		}
	}
	return nil
}

// indexDevice makes the event of a voucher one that is found by its device.
func indexDevice(tx state.Tx, e *Event, index uint64) error {
	nonced := byte(0)
	if e.Nonce != nil {
		nonced = 1
	}
	entry := append([]byte{nonced}, e.DomainID...)
	if err := tx.Set(binary.BigEndian.AppendUint64(deviceKey(keyDevice, e.Device), ^index), entry); err != nil {
		return err
	}
	key := append(deviceKey(keySummary, e.Device), entry...)
	value, err := tx.Get(key)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	var count uint64
	if err == nil {
		if len(value) != 16 {
			return &DamageError{"summary of the device of event", index, errLength(value)}
		}
		count = binary.BigEndian.Uint64(value)
	}
	value = binary.BigEndian.AppendUint64(nil, count+1)
	return tx.Set(key, binary.BigEndian.AppendUint64(value, index))
}

func errLength(value []byte) error { return fmt.Errorf("it has %d octets", len(value)) }

// size returns the number of events.
func size(r state.Reader) (uint64, error) {
	value, err := r.Get([]byte(keySize))
	if errors.Is(err, state.ErrNotFound) {
		return 0, nil
	}
	if err == nil && len(value) != 8 {
		err = &DamageError{"size", 0, errLength(value)}
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(value), nil
}

// hashReader reads the hashes of the tree.
type hashReader struct{ r state.Reader }

func (h hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, n := range indexes {
		value, err := h.r.Get(numbered(keyHash, uint64(n)))
		if errors.Is(err, state.ErrNotFound) || err == nil && len(value) != tlog.HashSize {
			return nil, &DamageError{"hash", uint64(n), errors.New("it is missing or has another length")}
		}
		if err != nil {
			return nil, err
		}
		out[i] = tlog.Hash(value)
	}
	return out, nil
}

// ReadHead returns the head of the log as r shows it.
func ReadHead(r state.Reader) (Head, error) {
	n, err := size(r)
	if err != nil {
		return Head{}, err
	}
	root, err := tlog.TreeHash(int64(n), hashReader{r})
	return Head{n, root}, err
}

// SignedHead returns the head of the log, signed. r must be the Reader of a
// View: what a transaction sees is not durable.
func (l *Log) SignedHead(r state.Reader) ([]byte, Head, error) {
	if _, ok := r.(state.Tx); ok {
		return nil, Head{}, errors.New("audit: the head of a log may be signed when it is durable, and in a transaction it is not")
	}
	h, err := ReadHead(r)
	if err != nil {
		return nil, Head{}, err
	}
	signed, err := l.signer.SignHead(h)
	return signed, h, err
}

// An Entry is an event as it is in the log.
type Entry struct {
	Index  uint64
	Record []byte // the leaf of the tree
	Event  *Event // what the record says, and the private part
}

// ReadEntry returns the event at an index, private part included. An index
// that is not in the log is state.ErrNotFound.
func ReadEntry(r state.Reader, index uint64) (*Entry, error) {
	record, err := r.Get(numbered(keyRecord, index))
	if err != nil {
		return nil, err
	}
	e, digest, err := parseRecord(record)
	if err != nil {
		return nil, &DamageError{"record", index, err}
	}
	private, err := r.Get(numbered(keyPrivate, index))
	if err == nil {
		err = e.addPrivate(private, digest)
	}
	if err != nil {
		return nil, &DamageError{"private part", index, err}
	}
	return &Entry{index, record, e}, nil
}

// DeviceEntries calls f with the events of a device, the newest first, until f
// returns state.ErrStop or an error. Runs that hold the device are not among
// them: which those are the log does not know.
func DeviceEntries(r state.Reader, id device.ID, f func(*Entry) error) error {
	prefix := deviceKey(keyDevice, id)
	return r.Scan(prefix, nil, func(key, _ []byte) error {
		index, err := indexOf(key[len(prefix):])
		if err != nil {
			return err
		}
		e, err := ReadEntry(r, ^index)
		if err != nil {
			return err
		}
		return f(e)
	})
}

// RunEntries calls f with the events of the runs of a name, the oldest first,
// until f returns state.ErrStop or an error.
func RunEntries(r state.Reader, run string, f func(*Entry) error) error {
	prefix := append([]byte(keyRun+run), 0)
	return r.Scan(prefix, nil, func(key, _ []byte) error {
		index, err := indexOf(key[len(prefix):])
		if err != nil {
			return err
		}
		e, err := ReadEntry(r, index)
		if err != nil {
			return err
		}
		return f(e)
	})
}

// Check reads the whole log and reports the first thing in it that is not as it
// was written, as a *[DamageError]: each record against its leaf, and each node
// of the tree against those below it.
func Check(r state.Reader) (Head, error) {
	n, err := size(r)
	if err != nil {
		return Head{}, err
	}
	for i := range n {
		e, err := ReadEntry(r, i)
		if errors.Is(err, state.ErrNotFound) {
			err = &DamageError{"record", i, err}
		}
		if err != nil {
			return Head{}, err
		}
		want, err := tlog.StoredHashes(int64(i), e.Record, hashReader{r})
		if err != nil {
			return Head{}, err
		}
		at := uint64(tlog.StoredHashIndex(0, int64(i)))
		for j, h := range want {
			got, err := r.Get(numbered(keyHash, at+uint64(j)))
			if err != nil || !bytes.Equal(got, h[:]) {
				return Head{}, &DamageError{"hash", at + uint64(j), errors.Join(err, errors.New("it is not that of the records"))}
			}
		}
	}
	if err := vacant(r, n); err != nil {
		return Head{}, err
	}
	return ReadHead(r)
}

func indexOf(octets []byte) (uint64, error) {
	if len(octets) != 8 {
		return 0, &DamageError{"key of an index", 0, errLength(octets)}
	}
	return binary.BigEndian.Uint64(octets), nil
}
