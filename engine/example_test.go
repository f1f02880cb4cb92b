package engine_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/vouchmill/vouchmill/engine"
)

// A batch of lines, turned into upper case by four workers and printed in
// order.
func ExampleRun() {
	input := strings.Fields("a batch has exactly one owner at every moment")
	type batch struct{ words []string }

	err := engine.Run(context.Background(), engine.Config{Workers: 4}, func() *batch { return new(batch) }, engine.Stages[batch]{
		Fill: func(_ context.Context, _ engine.Turn, b *batch) (more bool, err error) {
			n := min(2, len(input))
			b.words = append(b.words[:0], input[:n]...)
			input = input[n:]
			return len(input) > 0, nil
		},
		Work: func(_ int, _ uint64, b *batch) error {
			for i, word := range b.words {
				b.words[i] = strings.ToUpper(word)
			}
			return nil
		},
		Sink: func(seq uint64, b *batch) error {
			fmt.Println(seq, b.words)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// 0 [A BATCH]
	// 1 [HAS EXACTLY]
	// 2 [ONE OWNER]
	// 3 [AT EVERY]
	// 4 [MOMENT]
}

// Before the second batch is filled, the first one has been consumed.
func ExampleTurn_Barrier() {
	stored := map[int]bool{}
	err := engine.Run(context.Background(), engine.Config{}, func() *int { return new(int) }, engine.Stages[int]{
		Fill: func(_ context.Context, turn engine.Turn, b *int) (more bool, err error) {
			if turn.Seq == 1 {
				if err := turn.Barrier(); err != nil {
					return false, err
				}
				fmt.Println("stored before batch 1:", stored[0])
			}
			*b = int(turn.Seq)
			return turn.Seq < 1, nil
		},
		Work: func(int, uint64, *int) error { return nil },
		Sink: func(_ uint64, b *int) error { stored[*b] = true; return nil },
	})
	fmt.Println("error:", err)
	// Output:
	// stored before batch 1: true
	// error: <nil>
}

func ExampleRing() {
	ctx := context.Background()
	ring, err := engine.NewRing[string](8)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, request := range []string{"a", "b", "c"} {
		if err := ring.Put(ctx, request); err != nil {
			fmt.Println(err)
		}
	}
	ring.Close()
	batch := make([]string, 64)
	for {
		n, err := ring.TakeBatch(ctx, batch)
		fmt.Println(batch[:n], err)
		if err != nil {
			break
		}
	}
	// Output:
	// [a b c] <nil>
	// [] engine: closed; nothing more is taken in
}

func ExampleOnline() {
	pool, err := engine.NewOnline(engine.OnlineConfig{}, func(_ int, batch []*engine.Exchange[string, int]) {
		for _, e := range batch {
			e.Response = len(e.Request)
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	fmt.Println(pool.Do(context.Background(), "voucher-request"))
	// Output: 15 <nil>
}
