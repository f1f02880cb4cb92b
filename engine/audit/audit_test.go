package audit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/state"
)

var (
	background = context.Background()
	start      = time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
	deviceA    = device.ID{IssuerKeyID: "\x01\x02", Serial: "A-1"}
	deviceB    = device.ID{IssuerKeyID: "\x01", Serial: "A-1"} // the same serial number
)

// A bench is a log in memory with its verifier.
type bench struct {
	testing.TB
	db       *state.Memory
	log      *audit.Log
	verifier *audit.Verifier
	secret   string
}

func newBench(t testing.TB) *bench {
	t.Helper()
	secret, public, err := audit.GenerateKey(rand.Reader, "masa.example.com/audit")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	if signer.VerifierKey() != public || signer.Origin() != "masa.example.com/audit" {
		t.Fatalf("the signer says its key is %s, want %s", signer.VerifierKey(), public)
	}
	log, err := audit.New(signer, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := audit.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t, state.NewMemory(), log, verifier, secret}
}

// voucher is an event n hours after start.
func voucher(n int, id device.ID, domain, nonce string) *audit.Event {
	e := &audit.Event{Kind: audit.VoucherIssued, Date: start.Add(time.Duration(n) * time.Hour), Assertion: codec.AssertionProximity,
		Device: id, DomainID: []byte(domain), Customer: "Acme"}
	if nonce != "" {
		e.Nonce = &nonce
	}
	return e
}

func (b *bench) append(events ...*audit.Event) (last uint64) {
	b.Helper()
	if err := b.db.Update(background, func(tx state.Tx) (err error) {
		for _, e := range events {
			if last, err = b.log.Append(tx, e); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	return last
}

func (b *bench) view(f func(r state.Reader) error) {
	b.Helper()
	if err := b.db.View(background, f); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) head() (h audit.Head) {
	b.Helper()
	b.view(func(r state.Reader) (err error) { h, err = audit.ReadHead(r); return err })
	return h
}

func (b *bench) records() (records [][]byte) {
	b.Helper()
	b.view(func(r state.Reader) error {
		for i := range b.head().Size {
			e, err := audit.ReadEntry(r, i)
			if err != nil {
				return err
			}
			records = append(records, e.Record)
		}
		return nil
	})
	return records
}

func TestHeadsAndProofsAreThoseOfRFC9162(t *testing.T) {
	b := newBench(t)
	heads := []audit.Head{b.head()}
	if heads[0].Root != audit.Hash(merkle.EmptyRoot()) {
		t.Errorf("the root of the empty log is %s", heads[0].Root)
	}
	var rng merkle.Range
	const events = 41
	for i := range events {
		if index := b.append(voucher(i, deviceA, "domain", fmt.Sprint("nonce ", i))); index != uint64(i) {
			t.Fatalf("event %d has index %d", i, index)
		}
		records := b.records()
		rng.Append(merkle.LeafHash(records[i]))
		heads = append(heads, b.head())
		if got := heads[i+1]; got.Size != uint64(i+1) || got.Root != audit.Hash(rng.Root()) {
			t.Fatalf("after %d events the head is %v, want root %x", i+1, got, rng.Root())
		}
	}
	records := b.records()
	b.view(func(r state.Reader) error {
		for size := range heads {
			for index := range size {
				proof, err := audit.InclusionProof(r, uint64(index), uint64(size))
				if err != nil {
					return err
				}
				if err := audit.VerifyInclusion(heads[size], uint64(index), records[index], proof); err != nil {
					t.Fatalf("event %d in %d: %v", index, size, err)
				}
				path := make([]merkle.Hash, len(proof))
				for i, h := range proof {
					path[i] = merkle.Hash(h)
				}
				if err := merkle.VerifyInclusion(uint64(index), uint64(size), merkle.LeafHash(records[index]), path, merkle.Hash(heads[size].Root)); err != nil {
					t.Fatalf("event %d in %d, to the other verifier: %v", index, size, err)
				}
			}
			for older := range size + 1 {
				p, err := audit.NewConsistencyProof(r, uint64(older), uint64(size))
				if err != nil {
					return err
				}
				text, err := p.AppendJSON(nil)
				if err != nil {
					return err
				}
				if p, err = audit.ParseConsistencyProof(text); err != nil {
					return err
				}
				if err := p.Verify(heads[older], heads[size]); err != nil {
					t.Fatalf("%d to %d: %v", older, size, err)
				}
				requireAlteredRefused(t, p, heads[older], heads[size])
			}
		}
		return nil
	})
}

// requireAlteredRefused changes one thing at a time.
func requireAlteredRefused(t *testing.T, p *audit.ConsistencyProof, older, newer audit.Head) {
	t.Helper()
	refused := func(what string, p audit.ConsistencyProof, older, newer audit.Head) {
		t.Helper()
		var bad *audit.ProofError
		if err := p.Verify(older, newer); !errors.As(err, &bad) {
			t.Fatalf("%d to %d with another %s: error %v", older.Size, newer.Size, what, err)
		}
	}
	h := older
	h.Root[7] ^= 4
	refused("older root", *p, h, newer)
	if older.Size > 0 { // before the first event there is nothing that a newer root could contradict
		h = newer
		h.Root[7] ^= 4
		refused("newer root", *p, older, h)
	}
	h = older
	h.Size++
	refused("older size", *p, h, newer)
	h = newer
	h.Size++
	refused("newer size", *p, older, h)
	longer := *p
	longer.Path = append(slices.Clone(p.Path), audit.Hash{})
	refused("end of the path", longer, older, newer)
	for i := range p.Path {
		other := *p
		other.Path = slices.Clone(p.Path)
		other.Path[i][3] ^= 1
		refused("hash", other, older, newer)
	}
}

func TestProofsOfWhatIsNotThereAreRefused(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "d", "n"), voucher(2, deviceA, "d", "n"), voucher(3, deviceA, "d", "n"))
	b.view(func(r state.Reader) error {
		for _, c := range [][2]uint64{{3, 3}, {0, 4}, {0, 0}, {7, 2}} {
			if _, err := audit.InclusionProof(r, c[0], c[1]); err == nil {
				t.Errorf("a proof of event %d in %d events", c[0], c[1])
			}
		}
		for _, c := range [][2]uint64{{2, 1}, {1, 4}} {
			if _, err := audit.NewConsistencyProof(r, c[0], c[1]); err == nil {
				t.Errorf("a proof from %d to %d events", c[0], c[1])
			}
		}
		if _, err := audit.ReadEntry(r, 3); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
		return nil
	})
}

func TestEventsAreReadAsTheyWereAppended(t *testing.T) {
	b := newBench(t)
	digest := sha256.Sum256([]byte("x"))
	run := &audit.Event{Kind: audit.RunImported, Date: start, Assertion: codec.AssertionVerified, Manifest: digest[:],
		DomainIDs: [][]byte{[]byte("a"), []byte("b")}, CreatedOn: start.Add(-time.Hour), ExpiresOn: start.Add(time.Hour),
		Customer: "Initech", Run: "lot-7", Count: 1_000_000}
	never := *run
	never.ExpiresOn, never.Customer = time.Time{}, ""
	full := voucher(1, deviceA, "domain", "VOUFT-WwrEv0NuAQEHoV7Q")
	full.RequestDigest, full.VoucherDigest = digest[:], digest[:]
	events := []*audit.Event{run, full, voucher(2, deviceB, "domain", ""), &never}
	b.append(events...)
	b.view(func(r state.Reader) error {
		for i, want := range events {
			got, err := audit.ReadEntry(r, uint64(i))
			if err != nil {
				return err
			}
			if g, w := fmt.Sprintf("%+v", deref(got.Event)), fmt.Sprintf("%+v", deref(want)); g != w {
				t.Errorf("event %d is read as\n%s, want\n%s", i, g, w)
			}
			for _, secret := range []string{"Acme", "Initech", "lot-7"} {
				if bytes.Contains(got.Record, []byte(secret)) {
					t.Errorf("the record of event %d shows %s", i, secret)
				}
			}
			public, err := audit.ParseRecord(got.Record)
			if err != nil || public.Customer != "" || public.Run != "" || public.Count != 0 {
				t.Errorf("the record of event %d says %+v, %v", i, public, err)
			}
		}
		var names []uint64
		err := audit.RunEntries(r, "lot-7", func(e *audit.Entry) error { names = append(names, e.Index); return nil })
		if !slices.Equal(names, []uint64{0, 3}) {
			t.Errorf("run lot-7 has events %v", names)
		}
		return errors.Join(err, audit.RunEntries(r, "lot-", func(*audit.Entry) error { return errors.New("another run's") }))
	})
	// The same event is another leaf each time, so that nobody can guess at the
	// part that is not shown.
	records := b.records()
	b.append(full)
	if again := b.records()[4]; bytes.Equal(again, records[1]) {
		t.Error("the private part has no salt")
	}
}

// deref shows the nonce in place of where it is.
func deref(e *audit.Event) any {
	plain := *e
	plain.Nonce = nil
	nonce := "none"
	if e.Nonce != nil {
		nonce = *e.Nonce
	}
	return fmt.Sprintf("%q %q %q %+v", e.Device, e.DomainIDs, nonce, plain)
}

func TestADeviceHasItsOwnEventsTheNewestFirst(t *testing.T) {
	b := newBench(t)
	longer := device.ID{IssuerKeyID: deviceA.IssuerKeyID + "\x03", Serial: deviceA.Serial}
	for i := range 9 {
		b.append(voucher(i, []device.ID{deviceA, deviceB, longer}[i%3], "domain", fmt.Sprint(i)))
	}
	b.view(func(r state.Reader) error {
		for i, id := range []device.ID{deviceA, deviceB, longer} {
			var indexes []uint64
			if err := audit.DeviceEntries(r, id, func(e *audit.Entry) error {
				if e.Event.Device != id {
					t.Errorf("an event of %s is among those of %s", e.Event.Device, id)
				}
				indexes = append(indexes, e.Index)
				return nil
			}); err != nil {
				return err
			}
			if want := []uint64{uint64(i + 6), uint64(i + 3), uint64(i)}; !slices.Equal(indexes, want) {
				t.Errorf("%s has events %v, want %v", id, indexes, want)
			}
		}
		first := 0
		return errors.Join(audit.DeviceEntries(r, deviceA, func(*audit.Entry) error { first++; return state.ErrStop }),
			func() error {
				if first != 1 {
					return fmt.Errorf("%d events after ErrStop", first)
				}
				return nil
			}())
	})
}

func TestEventsOutsideTheirLimitsAreNotAppended(t *testing.T) {
	b := newBench(t)
	digest := make([]byte, 32)
	run := func() *audit.Event {
		return &audit.Event{Kind: audit.RunImported, Date: start, Assertion: codec.AssertionLogged, Manifest: digest,
			DomainIDs: [][]byte{[]byte("a")}, CreatedOn: start, Run: "r"}
	}
	for field, e := range map[string]*audit.Event{
		"kind":           edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { e.Kind = 9 }),
		"kind 0":         edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { e.Kind = 0 }),
		"date":           edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { e.Date = time.Time{} }),
		"date far":       edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { e.Date = start.AddDate(9000, 0, 0) }),
		"assertion":      edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { e.Assertion = 0 }),
		"device":         voucher(1, device.ID{Serial: "x"}, "d", "n"),
		"domainID":       voucher(1, deviceA, "", "n"),
		"domainID long":  voucher(1, deviceA, strings.Repeat("d", audit.MaxDomainID+1), "n"),
		"nonce":          voucher(1, deviceA, "d", strings.Repeat("n", audit.MaxNonce+1)),
		"nonce bad":      voucher(1, deviceA, "d", "\xff"),
		"nonce empty":    edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { *e.Nonce = "" }),
		"request digest": edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { e.RequestDigest = []byte("short") }),
		"voucher digest": edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { e.VoucherDigest = []byte("short") }),
		"customer":       edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { e.Customer = strings.Repeat("c", audit.MaxName+1) }),
		"kind mixed":     edit(voucher(1, deviceA, "d", "n"), func(e *audit.Event) { e.Count = 1 }),
		"manifest":       edit(run(), func(e *audit.Event) { e.Manifest = nil }),
		"domainIDs":      edit(run(), func(e *audit.Event) { e.DomainIDs = nil }),
		"domainIDs 2":    edit(run(), func(e *audit.Event) { e.DomainIDs = [][]byte{[]byte("b"), []byte("a")} }),
		"domainIDs 3":    edit(run(), func(e *audit.Event) { e.DomainIDs = [][]byte{nil} }),
		"created-on":     edit(run(), func(e *audit.Event) { e.CreatedOn = time.Time{} }),
		"run":            edit(run(), func(e *audit.Event) { e.Run = "" }),
		"run zero":       edit(run(), func(e *audit.Event) { e.Run = "a\x00b" }),
		"kind mixed 2":   edit(run(), func(e *audit.Event) { e.Device = deviceA }),
	} {
		err := b.db.Update(background, func(tx state.Tx) error { _, err := b.log.Append(tx, e); return err })
		var bad *audit.EventError
		want, _, _ := strings.Cut(field, " ")
		if field == "request digest" || field == "voucher digest" {
			want = field
		}
		if !errors.As(err, &bad) || bad.Field != want {
			t.Errorf("%s: error %v", field, err)
		}
	}
	if n := b.head().Size; n != 0 {
		t.Errorf("%d events were appended", n)
	}
	b.append(voucher(1, deviceA, strings.Repeat("d", audit.MaxDomainID), strings.Repeat("n", audit.MaxNonce)), run())
}

func edit(e *audit.Event, f func(e *audit.Event)) *audit.Event { f(e); return e }

func TestALogOutlivesCrashesWhole(t *testing.T) {
	b := newBench(t)
	acknowledged := 0
	for round := range 20 {
		crash := uint64(round % 5)
		b.db.OnCommit(func(n uint64) state.Fault {
			if n == crash {
				return state.Fault(round%4 + 1)
			}
			return state.NoFault
		})
		for i := 0; ; i++ {
			if err := b.db.Update(background, func(tx state.Tx) error {
				_, err := b.log.Append(tx, voucher(i, deviceA, fmt.Sprint("domain ", round), "n"))
				return err
			}); err != nil {
				break
			}
			acknowledged++
		}
		b.db = b.db.Reopen()
		b.view(func(r state.Reader) error {
			h, err := audit.Check(r)
			if h.Size < uint64(acknowledged) {
				t.Errorf("%d events were acknowledged, %d are there", acknowledged, h.Size)
			}
			acknowledged = int(h.Size)
			return err
		})
	}
}

func TestCheckFindsWhatWasChanged(t *testing.T) {
	b := newBench(t)
	for i := range 13 {
		b.append(voucher(i, deviceA, "d", "n"))
	}
	var keys []string
	b.view(func(r state.Reader) error {
		if _, err := audit.Check(r); err != nil {
			return err
		}
		return r.Scan([]byte("audit/"), nil, func(key, _ []byte) error {
			for _, prefix := range []string{"audit/e", "audit/n"} {
				if bytes.HasPrefix(key, []byte(prefix)) {
					keys = append(keys, string(key))
				}
			}
			return nil
		})
	})
	if len(keys) != 13+1 {
		t.Fatalf("%d keys", len(keys))
	}
	for _, key := range keys {
		for what, change := range map[string]func(tx state.Tx, v []byte) error{
			"changed":        func(tx state.Tx, v []byte) error { v[len(v)-1] ^= 2; return tx.Set([]byte(key), v) },
			"changed before": func(tx state.Tx, v []byte) error { v[0] ^= 1; return tx.Set([]byte(key), v) },
			"changed within": func(tx state.Tx, v []byte) error { v[len(v)/2] ^= 1; return tx.Set([]byte(key), v) },
			"changed early":  func(tx state.Tx, v []byte) error { v[min(20, len(v)-1)] ^= 1; return tx.Set([]byte(key), v) },
			"cut":            func(tx state.Tx, v []byte) error { return tx.Set([]byte(key), v[:len(v)-1]) },
			"deleted":        func(tx state.Tx, _ []byte) error { return tx.Delete([]byte(key)) },
		} {
			err := b.db.Update(background, func(tx state.Tx) error {
				v, err := tx.Get([]byte(key))
				if err == nil {
					err = change(tx, v)
				}
				if err != nil {
					return err
				}
				h, err := audit.Check(tx)
				var damage *audit.DamageError
				if !errors.As(err, &damage) {
					t.Errorf("key %q was %s: Check finds %v, %v", key, what, h, err)
				}
				return errUndo
			})
			if !errors.Is(err, errUndo) {
				t.Fatal(err)
			}
		}
	}
}

var errUndo = errors.New("undo")

func TestHeadsAreSignedWhenDurableOnly(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "d", "n"))
	if err := b.db.Update(background, func(tx state.Tx) error {
		_, _, err := b.log.SignedHead(tx)
		return err
	}); err == nil {
		t.Error("a head was signed in a transaction")
	}
}

func BenchmarkAppend(b *testing.B) {
	bench := newBench(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		bench.append(voucher(i, deviceA, "domain", "nonce"))
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	bench := newBench(b)
	for i := range 1000 {
		bench.append(voucher(i, deviceA, fmt.Sprint("domain ", i%3), "nonce"))
	}
	var body []byte
	for b.Loop() {
		bench.view(func(r state.Reader) (err error) {
			body, err = bench.log.AppendResponse(body[:0], r, audit.ResponseParams{Device: deviceA})
			return err
		})
	}
	b.SetBytes(int64(len(body)))
}
