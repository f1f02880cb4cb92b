package engine

import (
	"context"
	"slices"
	"testing"
)

func TestRunDeliversEveryBatchInOrder(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		var got []uint64
		err := Run(t.Context(), Config{Workers: workers}, func() *uint64 { return new(uint64) }, Stages[uint64]{
			Fill: func(_ context.Context, turn Turn, b *uint64) (bool, error) {
				*b = turn.Seq
				return turn.Seq < 999, nil
			},
			Work: func(_ int, _ uint64, b *uint64) error { *b *= 3; return nil },
			Sink: func(_ uint64, b *uint64) error { got = append(got, *b); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1000 || !slices.IsSorted(got) || got[999] != 2997 {
			t.Errorf("workers=%d: %d batches, last %d", workers, len(got), got[len(got)-1])
		}
	}
}
