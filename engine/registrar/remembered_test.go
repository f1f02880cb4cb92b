package registrar

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

func TestIssuedCertificatesAreRememberedWithinBounds(t *testing.T) {
	var i issued
	name := func(n int) (d digest) {
		binary.BigEndian.PutUint64(d[:], uint64(n))
		return d
	}
	if i.has(name(0)) {
		t.Error("something is known at the beginning")
	}
	for n := range 3 * maxIssued {
		i.add(name(n))
		if !i.has(name(n)) || len(i.recent)+len(i.older) > 2*maxIssued {
			t.Fatalf("after %d: %d and %d are known", n+1, len(i.recent), len(i.older))
		}
	}
	if i.has(name(0)) || !i.has(name(2*maxIssued)) {
		t.Error("the oldest are not those that were forgotten")
	}
}

// TestAttemptsAreAddedAsTheyWereWritten: a record holds the octets it would hold
// if it was decoded and encoded again.
func TestAttemptsAreAddedAsTheyWereWritten(t *testing.T) {
	db, ctx := state.NewMemory(), context.Background()
	id := device.ID{IssuerKeyID: "issuer", Serial: "S"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entry := func(n int, outcome decision.Kind) Attempt {
		return Attempt{At: at.Add(time.Duration(n) * time.Second), Operation: "requestvoucher", Outcome: outcome, Digest: []byte{byte(n)},
			Checks: []decision.Check{{Name: "client-certificate", OK: true, Detail: "fine"}}}
	}
	var want []Attempt
	add := func(e Attempt, repeats bool) {
		t.Helper()
		if repeats {
			want = want[:len(want)-1]
		}
		want = last(append(want, e), maxAttempts)
		var got, whole []byte
		err := db.Update(ctx, func(tx state.Tx) (err error) {
			if err := addAttempt(tx, id, e); err != nil {
				return err
			}
			if got, err = tx.Get(deviceKey(prefixAttempts, id)); err != nil {
				return err
			}
			if err := put(tx, []byte("whole"), &attemptsRecord{Attempts: want}); err != nil {
				return err
			}
			whole, err = tx.Get([]byte("whole"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, whole) {
			t.Errorf("the record is %x, want %x", got, whole)
		}
	}
	add(entry(0, decision.DeviceNotListed), false)
	again := entry(0, decision.DeviceNotListed)
	again.At = at.Add(time.Hour)
	add(again, true)
	add(entry(0, ""), false)
	for n := range maxAttempts + 2 {
		add(entry(n+1, ""), false)
	}
	err := db.Update(ctx, func(tx state.Tx) error {
		key := deviceKey(prefixAttempts, id)
		value, err := tx.Get(key)
		if err != nil {
			return err
		}
		if err := tx.Set(key, append(value, 0)); err != nil {
			return err
		}
		return addAttempt(tx, id, entry(9, ""))
	})
	if err == nil {
		t.Error("a damaged record was added to")
	}
}
