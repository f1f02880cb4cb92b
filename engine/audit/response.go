package audit

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

const (
	// ProofMember is the member of an answer to requestauditlog that RFC 8995 does
	// not have, as its §5.8.1 allows. It holds the signed head of the log as text
	// ("head"), and for each member of "events", in the same order, an object
	// ("entries") with the index of the event in the log ("index"), the record that
	// is the leaf of the tree in base64 ("record"), and the hashes of the inclusion
	// proof in base64 ("proof").
	ProofMember = "vouchmill-log"

	// DefaultShown is how many vouchers of a device an answer shows.
	DefaultShown = 64
	// maxCounter is where the counters of an answer stop (RFC 8995 §5.8.1).
	maxCounter = 1024
	// maxSummaries bounds the look at the domains of one device.
	maxSummaries = 4096
)

// ResponseParams say what an answer is about.
type ResponseParams struct {
	Device device.ID
	// Runs are the imported runs that hold the device.
	Runs []RunRef
	// Shown bounds how many vouchers, and how many runs, are shown. Default
	// DefaultShown.
	Shown int
}

// A RunRef is a run that holds a device.
type RunRef struct {
	// Index is that of the run's event in the log.
	Index uint64
	// DomainID is the one that the device's voucher of the run pins; nil where all
	// of the run pin one.
	DomainID []byte
}

// shown is one member of "events".
type shown struct {
	entry     *Entry
	domainID  []byte
	date      time.Time
	nonce     *string
	truncated uint64
}

// truncation is the member of that name.
type truncation struct{ nonced, nonceless, arbitrary uint64 }

// AppendResponse appends the body of the answer to requestauditlog (RFC 8995
// §5.8.1) for a device: its vouchers and the runs that hold it, the newest
// first, with proofs that they are in the log. r must be the Reader of a View.
//
// When a device has more events than are shown, the newest nonced and the
// newest nonceless one of each domain come first, then the newest of the rest;
// what is left out is counted. Of a device with more domains than are looked at
// the newest are shown, whosever they are.
//
// [ErrNoEvents] is returned when there is nothing to show.
func (l *Log) AppendResponse(dst []byte, r state.Reader, p ResponseParams) ([]byte, error) {
	if p.Shown <= 0 {
		p.Shown = DefaultShown
	}
	signed, head, err := l.SignedHead(r)
	if err != nil {
		return dst, err
	}
	events, cut, err := vouchersShown(r, p)
	if err != nil {
		return dst, err
	}
	runs, err := runsShown(r, p, &cut)
	if err != nil {
		return dst, err
	}
	events = append(events, runs...)
	if len(events) == 0 {
		return dst, ErrNoEvents
	}
	slices.SortStableFunc(events, func(a, b *shown) int {
		return cmp.Or(b.date.Compare(a.date), cmp.Compare(b.entry.Index, a.entry.Index))
	})
	dst = appendEvents(append(dst, `{"version":1,"events":[`...), events)
	dst = fmt.Appendf(dst, `],"truncation":{"nonced duplicates":%d,"nonceless duplicates":%d,"arbitrary":%d},"%s":{"head":`,
		min(cut.nonced, maxCounter), min(cut.nonceless, maxCounter), min(cut.arbitrary, maxCounter), ProofMember)
	dst = codec.AppendJSONString(dst, signed)
	dst, err = appendProofs(append(dst, `,"entries":[`...), r, head, events)
	return append(dst, `]}}`...), err
}

func appendEvents(dst []byte, events []*shown) []byte {
	for i, e := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"date":"`...)
		dst = e.date.AppendFormat(dst, time.RFC3339)
		dst = append(dst, `","domainID":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, e.domainID)
		dst = append(dst, `","nonce":`...)
		if e.nonce == nil {
			dst = append(dst, `null`...)
		} else {
			dst = codec.AppendJSONString(dst, []byte(*e.nonce))
		}
		dst = append(dst, `,"assertion":"`+e.entry.Event.Assertion.String()+`"`...)
		if e.truncated > 0 {
			dst = append(dst, `,"truncated":`...)
			dst = strconv.AppendUint(dst, min(e.truncated, maxCounter), 10)
		}
		dst = append(dst, '}')
	}
	return dst
}

func appendProofs(dst []byte, r state.Reader, head Head, events []*shown) ([]byte, error) {
	tree := &memory{r: hashReader{r}, known: map[int64]Hash{}}
	for i, e := range events {
		proof, err := tlog.ProveRecord(int64(head.Size), int64(e.entry.Index), tree)
		if err != nil {
			return dst, err
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"index":`...)
		dst = strconv.AppendUint(dst, e.entry.Index, 10)
		dst = append(dst, `,"record":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, e.entry.Record)
		dst = append(dst, `","proof":[`...)
		for j := range proof {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = append(base64.StdEncoding.AppendEncode(append(dst, '"'), proof[j][:]), '"')
		}
		dst = append(dst, `]}`...)
	}
	return dst, nil
}

// A memory reads each hash once: the proofs of an answer share most of theirs.
type memory struct {
	r     hashReader
	known map[int64]Hash
}

func (m *memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		h, ok := m.known[at]
		if !ok {
			read, err := m.r.ReadHashes([]int64{at})
			if err != nil {
				return nil, err
			}
			h = read[0]
			m.known[at] = h
		}
		out[i] = h
	}
	return out, nil
}

// A summary is what is known of the events of a device that have one domain and
// are all nonced or all nonceless.
type summary struct {
	kind   string // nonced octet, domainID
	count  uint64
	newest uint64 // index
	kept   uint64
}

func (s *summary) nonced() bool { return s.kind[0] != 0 }

// vouchersShown chooses among the vouchers of a device.
func vouchersShown(r state.Reader, p ResponseParams) (events []*shown, cut truncation, err error) {
	all, more, err := summaries(r, p.Device)
	if err != nil {
		return nil, cut, err
	}
	if more {
		all, cut.arbitrary = nil, maxCounter // at least one, and nobody counts them
	}
	byKind := map[string]*summary{}
	for _, s := range all {
		byKind[s.kind] = s
	}
	chosen := map[uint64]string{} // index to kind
	slices.SortFunc(all, func(a, b *summary) int { return cmp.Compare(b.newest, a.newest) })
	for _, s := range all[:min(len(all), p.Shown)] {
		chosen[s.newest] = s.kind
	}
	if err := fillNewest(r, p, chosen); err != nil {
		return nil, cut, err
	}
	first := map[string]*shown{} // the newest of a kind that is shown
	indexes := make([]uint64, 0, len(chosen))
	for index := range chosen {
		indexes = append(indexes, index)
	}
	slices.Sort(indexes)
	for _, index := range slices.Backward(indexes) {
		entry, err := ReadEntry(r, index)
		if err != nil {
			return nil, cut, err
		}
		e := &shown{entry: entry, domainID: entry.Event.DomainID, date: entry.Event.Date, nonce: entry.Event.Nonce}
		events = append(events, e)
		kind := chosen[index]
		if first[kind] == nil {
			first[kind] = e
		}
		if s := byKind[kind]; s != nil {
			s.kept++
		}
	}
	for _, s := range all {
		left := s.count - s.kept
		switch {
		case s.kept == 0:
			cut.arbitrary += left
		case s.nonced():
			cut.nonced += left
		default:
			cut.nonceless += left
		}
		if s.kept > 0 {
			first[s.kind].truncated = left
		}
	}
	return events, cut, nil
}

// summaries reads those of a device; more says that there are too many.
func summaries(r state.Reader, id device.ID) (all []*summary, more bool, err error) {
	prefix := deviceKey(keySummary, id)
	err = r.Scan(prefix, nil, func(key, value []byte) error {
		kind := key[len(prefix):]
		if len(value) != 16 || len(kind) < 2 {
			return &DamageError{"summary of a device", 0, errLength(value)}
		}
		if more = len(all) == maxSummaries; more {
			return state.ErrStop
		}
		all = append(all, &summary{kind: string(kind), count: binary.BigEndian.Uint64(value), newest: binary.BigEndian.Uint64(value[8:])})
		return nil
	})
	return all, more, err
}

// fillNewest chooses the newest vouchers until there are enough.
func fillNewest(r state.Reader, p ResponseParams, chosen map[uint64]string) error {
	prefix := deviceKey(keyDevice, p.Device)
	if len(chosen) >= p.Shown {
		return nil
	}
	return r.Scan(prefix, nil, func(key, value []byte) error {
		index, err := indexOf(key[len(prefix):])
		if err != nil {
			return err
		}
		chosen[^index] = string(value)
		if len(chosen) >= p.Shown {
			return state.ErrStop
		}
		return nil
	})
}

// runsShown shows the runs that hold a device as nonceless events.
func runsShown(r state.Reader, p ResponseParams, cut *truncation) (events []*shown, err error) {
	runs := slices.Clone(p.Runs)
	slices.SortFunc(runs, func(a, b RunRef) int { return cmp.Compare(b.Index, a.Index) })
	if len(runs) > p.Shown {
		cut.arbitrary += uint64(len(runs) - p.Shown)
		runs = runs[:p.Shown]
	}
	for _, run := range runs {
		entry, err := ReadEntry(r, run.Index)
		if err != nil {
			return nil, err
		}
		e := entry.Event
		if e.Kind != RunImported {
			return nil, fmt.Errorf("audit: event %d is not that of a run", run.Index)
		}
		domain := run.DomainID
		if domain == nil && len(e.DomainIDs) == 1 {
			domain = e.DomainIDs[0]
		}
		if !slices.ContainsFunc(e.DomainIDs, func(id []byte) bool { return slices.Equal(id, domain) }) {
			return nil, errors.New("audit: run " + e.Run + " does not pin the domain it is said to pin for the device")
		}
		events = append(events, &shown{entry: entry, domainID: domain, date: e.CreatedOn})
	}
	return events, nil
}
