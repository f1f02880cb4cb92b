package masa_test

import (
	"context"
	"errors"
	"testing"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/masa"
)

// An auditor who kept a head of the log can tell at each later one that nothing
// was changed or taken out.
func TestHeadsOfTheLogAreConsistent(t *testing.T) {
	w := newWorld(t)
	verifier, err := audit.NewVerifier(w.cfg.Log.Signer().VerifierKey())
	must(t, err)
	var kept []audit.Head
	for range 4 {
		signed, head, err := w.masa.LogHead(context.Background())
		must(t, err)
		if read, err := verifier.VerifyHead(signed); err != nil || read != head || head.Size != uint64(len(kept)) {
			t.Fatalf("head %d is %+v, signed is %+v, %v", len(kept), head, read, err)
		}
		kept = append(kept, head)
		w.join(0).voucher()
	}
	latest := kept[len(kept)-1]
	prove := func(older, newer uint64) *audit.ConsistencyProof {
		t.Helper()
		text, err := w.masa.LogConsistency(context.Background(), older, newer)
		must(t, err)
		p, err := audit.ParseConsistencyProof(text)
		must(t, err)
		return p
	}
	for _, older := range kept {
		if err := prove(older.Size, latest.Size).Verify(older, latest); err != nil {
			t.Errorf("from %d: %v", older.Size, err)
		}
	}
	_, now, err := w.masa.LogHead(context.Background())
	must(t, err)
	if err := prove(1, 0).Verify(kept[1], now); err != nil {
		t.Errorf("to the log as it is: %v", err)
	}
	for _, never := range [][2]uint64{{2, 1}, {1, now.Size + 1}, {now.Size + 1, 0}} {
		var usage *masa.UsageError
		if _, err := w.masa.LogConsistency(context.Background(), never[0], never[1]); !errors.As(err, &usage) {
			t.Errorf("from %d to %d: %v", never[0], never[1], err)
		}
	}
}
