package fuzz

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// countingReader is a source of octets that are the same every time.
type countingReader struct{ n byte }

func (c *countingReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = c.n
		c.n++
	}
	return len(b), nil
}

// A knownLog is an audit log that is the same every time.
type knownLog struct {
	verifier            *audit.Verifier
	body, head, records []byte // an answer, a signed head, the first record
	heads               []audit.Head
	consistency         []byte // of 2 to 5 events
}

// newKnownLog logs five vouchers of two devices.
func newKnownLog(tb testing.TB) *knownLog {
	tb.Helper()
	secret, public, err := audit.GenerateKey(&countingReader{}, "masa.example.com/audit")
	must(tb, err)
	signer, err := audit.NewSigner(secret)
	must(tb, err)
	log, err := audit.New(signer, io.Reader(&countingReader{}))
	must(tb, err)
	k := &knownLog{}
	k.verifier, err = audit.NewVerifier(public)
	must(tb, err)
	db := state.NewMemory()
	for i := range 5 {
		e := &audit.Event{Kind: audit.VoucherIssued, Date: time.Unix(1.8e9+int64(i), 0), Assertion: codec.AssertionProximity,
			Device: device.ID{IssuerKeyID: "i", Serial: string(rune('A' + i%2))}, DomainID: []byte{byte(i), 1}}
		if nonce := "nonce"; i > 1 {
			e.Nonce = &nonce
		}
		must(tb, db.Update(context.Background(), func(tx state.Tx) error { _, err := log.Append(tx, e); return err }))
		must(tb, db.View(context.Background(), func(r state.Reader) error {
			h, err := audit.ReadHead(r)
			k.heads = append(k.heads, h)
			return err
		}))
	}
	must(tb, db.View(context.Background(), func(r state.Reader) (err error) {
		if k.body, err = log.AppendResponse(nil, r, audit.ResponseParams{Device: device.ID{IssuerKeyID: "i", Serial: "A"}}); err != nil {
			return err
		}
		if k.head, _, err = log.SignedHead(r); err != nil {
			return err
		}
		e, err := audit.ReadEntry(r, 0)
		if err != nil {
			return err
		}
		k.records = e.Record
		p, err := audit.NewConsistencyProof(r, 2, 5)
		if err == nil {
			k.consistency, err = p.AppendJSON(nil)
		}
		return err
	}))
	return k
}

func FuzzAuditResponse(f *testing.F) {
	k := newKnownLog(f)
	f.Add(k.body)
	vectorSeeds(f, "auditlog.json", "auditlog-numbers.json")
	f.Fuzz(func(t *testing.T, body []byte) {
		var r *audit.Response
		var err error
		frugal(t, len(body), func() { r, err = audit.ParseResponse(body, audit.Limits{}) })
		if err != nil {
			if !isA[*audit.ResponseError](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		ours := [][]byte{}
		for _, e := range r.Events {
			if n := len(e.DomainID); n < 1 || n > audit.MaxDomainID || e.Date.IsZero() && e.Date.Year() != 1 || e.Nonce != nil && *e.Nonce == "" {
				t.Fatalf("accepted event %+v", e)
			}
			ours = append(ours, e.DomainID)
		}
		if v := audit.Judge(r, audit.Policy{Ours: ours}); !v.Good || len(v.Findings) < len(r.Events) {
			t.Fatalf("all domains are ours and the verdict is %+v", v)
		}
		if v := audit.Judge(r, audit.Policy{}); v.Good != (len(r.Events) == 0) {
			t.Fatalf("no domain is known and the verdict is %+v", v)
		}
		head, err := r.VerifyLog(k.verifier, "A")
		switch {
		case err == nil:
			// Nobody can sign for the log: what passes is what it holds.
			if head != k.heads[4] {
				t.Fatalf("a head that was not signed passes: %v", head)
			}
		case !isA[*audit.ProofError](err) && !errors.Is(err, audit.ErrNoProof):
			t.Fatalf("error of type %T: %v", err, err)
		}
		if _, kept := audit.VerifyFiles(k.verifier, body, nil, nil); err == nil && kept != nil {
			t.Fatalf("the answer verifies, kept it does not: %v", kept)
		}
	})
}

func FuzzAuditHead(f *testing.F) {
	k := newKnownLog(f)
	f.Add(k.head)
	f.Add([]byte("masa.example.com/audit\n5\n" + k.heads[4].Root.String() + "\n\n— masa.example.com/audit AAAA\n"))
	f.Fuzz(func(t *testing.T, signed []byte) {
		h, err := k.verifier.VerifyHead(signed)
		if err != nil {
			if !isA[*audit.ProofError](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if h != k.heads[4] {
			t.Fatalf("a head that was not signed passes: %v", h)
		}
	})
}

func FuzzAuditConsistency(f *testing.F) {
	k := newKnownLog(f)
	f.Add(k.consistency)
	f.Add([]byte(`{"vouchmill-log-consistency":1,"old-size":5,"new-size":5,"path":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := audit.ParseConsistencyProof(text)
		if err != nil {
			if !isA[*audit.ProofError](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		written, err := p.AppendJSON(nil)
		must(t, err)
		back, err := audit.ParseConsistencyProof(written)
		must(t, err)
		if back.OldSize != p.OldSize || back.NewSize != p.NewSize || !slices.Equal(back.Path, p.Path) {
			t.Fatalf("%+v is read again as %+v", p, back)
		}
		for i, older := range k.heads {
			for j, newer := range k.heads {
				err := p.Verify(older, newer)
				if err != nil && !isA[*audit.ProofError](err) {
					t.Fatalf("error of type %T: %v", err, err)
				}
				if err == nil && (i > j || p.OldSize != older.Size || p.NewSize != newer.Size) {
					t.Fatalf("a proof of %d to %d passes for %d to %d", p.OldSize, p.NewSize, older.Size, newer.Size)
				}
			}
		}
		fork := k.heads[1]
		fork.Root[0] ^= 1
		if p.Verify(fork, k.heads[4]) == nil {
			t.Fatal("a fork passes")
		}
	})
}

func FuzzAuditRecord(f *testing.F) {
	k := newKnownLog(f)
	f.Add(k.records)
	f.Fuzz(func(t *testing.T, record []byte) {
		var e *audit.Event
		var err error
		frugal(t, len(record), func() { e, err = audit.ParseRecord(record) })
		if err != nil {
			if !isA[*audit.EventError](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if e.Customer != "" || e.Run != "" || e.Count != 0 {
			t.Fatalf("a record says what it must not: %+v", e)
		}
		// What was read can be logged again, and its record differs from this one in
		// the digest of the private part, which is last, alone.
		signer, _, err := audit.GenerateKey(&countingReader{}, "x")
		must(t, err)
		s, err := audit.NewSigner(signer)
		must(t, err)
		log, err := audit.New(s, &countingReader{})
		must(t, err)
		if e.Kind == audit.RunImported {
			e.Run = "r"
		}
		db := state.NewMemory()
		must(t, db.Update(context.Background(), func(tx state.Tx) error { _, err := log.Append(tx, e); return err }))
		must(t, db.View(context.Background(), func(r state.Reader) error {
			again, err := audit.ReadEntry(r, 0)
			if err == nil && (len(again.Record) != len(record) || !bytes.HasPrefix(again.Record, record[:len(record)-sha256.Size])) {
				t.Fatalf("%x was read and is written %x", record, again.Record)
			}
			return err
		}))
	})
}
