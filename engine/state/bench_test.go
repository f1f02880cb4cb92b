package state_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/vouchmill/vouchmill/engine/state"
)

// One update reads a key and writes two, as a role does that answers a request.
func BenchmarkUpdate(b *testing.B) {
	for _, waiting := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", waiting), func(b *testing.B) {
			db := openBadger(b, filepath.Join(b.TempDir(), "db"), state.Options{Create: true})
			var n atomic.Uint64
			value := make([]byte, 2000)
			b.SetParallelism((waiting + 1) / 2) // of each of two processors
			if waiting == 1 {
				b.SetParallelism(1)
			}
			run := func(more func() bool) {
				for more() {
					i := n.Add(1)
					if err := db.Update(background, func(tx state.Tx) error {
						_, _ = tx.Get([]byte("none"))
						if err := tx.Set(fmt.Appendf(nil, "answer/%d", i), value); err != nil {
							return err
						}
						return tx.Set(fmt.Appendf(nil, "device/%d", i%10_000), value[:200])
					}); err != nil {
						b.Error(err)
						return
					}
				}
			}
			if waiting == 1 {
				run(b.Loop)
				return
			}
			b.RunParallel(func(pb *testing.PB) { run(pb.Next) })
		})
	}
}

func BenchmarkView(b *testing.B) {
	db := openBadger(b, filepath.Join(b.TempDir(), "db"), state.Options{Create: true})
	const keys = 10_000
	for at := 0; at < keys; at += 1000 {
		if err := db.Update(background, func(tx state.Tx) error {
			for i := at; i < at+1000; i++ {
				if err := tx.Set(fmt.Appendf(nil, "device/%d", i), make([]byte, 300)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		if err := db.View(background, func(r state.Reader) error {
			_, err := r.Get(fmt.Appendf(nil, "device/%d", i%keys))
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
