package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// The keys of this package. Numbers have 8 octets, big-endian, so that they sort;
// H is the SHA-256 of device.ID.AppendKey.
//
//	audit/n                the number of events
//	audit/e INDEX          an event, see stored
//	audit/d H ^INDEX       an event of a device, the newest first: nonced octet, domainID
//	audit/s H n DOMAINID   how many events, nonced (n = 1) or not (0), of a device and
//	                       domain there are, and the index of the newest
//	audit/u RUN 00 INDEX   an event of a run, by name
const (
	keySize    = "audit/n"
	keyEvent   = "audit/e"
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
	hashes, err := tlog.StoredHashes(int64(index), record, hashReader{tx})
	if err != nil {
		return 0, err
	}
	if err := errors.Join(
		tx.Set(numbered(keyEvent, index), stored{hashes, record, private}.encode()),
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
	_, err := r.Get(numbered(keyEvent, index))
	switch {
	case err == nil:
		return &DamageError{"size", index, errors.New("there are more events than it says")}
	case errors.Is(err, state.ErrNotFound):
		return nil
	}
	return err
}

// A stored is the value of an event: the hashes of the tree that it completes,
// from the leaf upwards (an octet tells how many), the record (two octets tell
// its length), and the private part.
type stored struct {
	hashes  []Hash
	record  []byte
	private []byte
}

func (s stored) encode() []byte {
	b := make([]byte, 0, 3+len(s.hashes)*tlog.HashSize+len(s.record)+len(s.private))
	b = append(b, byte(len(s.hashes)))
	for _, h := range s.hashes {
		b = append(b, h[:]...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.record)))
	return append(append(b, s.record...), s.private...)
}

// readStored reads the value of an event. One that is not there is
// state.ErrNotFound.
func readStored(r state.Reader, index uint64) (s stored, err error) {
	b, err := r.Get(numbered(keyEvent, index))
	if err != nil {
		return s, err
	}
	damaged := &DamageError{"event", index, errLength(b)}
	if len(b) < 1 || len(b) < 3+int(b[0])*tlog.HashSize {
		return s, damaged
	}
	s.hashes, b = make([]Hash, b[0]), b[1:]
	for i := range s.hashes {
		s.hashes[i], b = Hash(b[:tlog.HashSize]), b[tlog.HashSize:]
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) < n {
		return s, damaged
	}
	s.record, s.private = b[:n], b[n:]
	return s, nil
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

// hashReader reads the hashes of the tree: that of a subtree is with the event
// that completed it.
type hashReader struct{ r state.Reader }

func (h hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		level, n := tlog.SplitStoredHashIndex(at)
		event := uint64(n+1)<<level - 1
		s, err := readStored(h.r, event)
		if errors.Is(err, state.ErrNotFound) || err == nil && level >= len(s.hashes) {
			err = &DamageError{"event", event, errors.New("a hash of the tree is missing")}
		}
		if err != nil {
			return nil, err
		}
		out[i] = s.hashes[level]
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
	s, err := readStored(r, index)
	if err != nil {
		return nil, err
	}
	e, digest, err := parseRecord(s.record)
	if err == nil {
		err = e.addPrivate(s.private, digest)
	}
	if err != nil {
		return nil, &DamageError{"event", index, err}
	}
	return &Entry{index, s.record, e}, nil
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
		if err := checkEntry(r, i); err != nil {
			return Head{}, err
		}
	}
	if err := vacant(r, n); err != nil {
		return Head{}, err
	}
	return ReadHead(r)
}

func checkEntry(r state.Reader, index uint64) error {
	e, err := ReadEntry(r, index)
	if errors.Is(err, state.ErrNotFound) {
		return &DamageError{"event", index, err}
	}
	if err != nil {
		return err
	}
	s, err := readStored(r, index)
	if err != nil {
		return err
	}
	want, err := tlog.StoredHashes(int64(index), e.Record, hashReader{r})
	if err == nil && !slices.Equal(s.hashes, want) {
		err = &DamageError{"event", index, errors.New("its hashes are not those of the records")}
	}
	return err
}

func indexOf(octets []byte) (uint64, error) {
	if len(octets) != 8 {
		return 0, &DamageError{"key of an index", 0, errLength(octets)}
	}
	return binary.BigEndian.Uint64(octets), nil
}
