package state_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/state"
)

// model is a DB as a map, and the scan over it.
type model map[string]string

func (m model) listing(prefix string, after []byte) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(key, prefix) && (after == nil || key > string(after)) {
			out = append(out, key+"="+m[key])
		}
	}
	return strings.Join(out, " ")
}

func TestRandomOperationsAgreeWithAMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	each(t, func(t *testing.T, db state.DB, reopen func() state.DB) {
		rng := rand.New(rand.NewPCG(seed, 1))
		key := func() string {
			return strings.Repeat("ab"[rng.IntN(2):][:1], 1+rng.IntN(2)) + fmt.Sprint(rng.IntN(60))
		}
		after := func() []byte {
			if rng.IntN(3) == 0 {
				return nil
			}
			return []byte(key())
		}
		prefix := func() string { return []string{"", "a", "b", "aa", "b1", "zz"}[rng.IntN(6)] }
		m := model{}
		steps := 1500
		if testing.Short() {
			steps = 400
		}
		for step := range steps {
			if step%125 == 124 {
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				db = reopen()
			}
			next := maps.Clone(m)
			fail := errors.New("refused")
			keep := rng.IntN(4) > 0
			large := false // two of them inline are too much
			err := db.Update(background, func(tx state.Tx) error {
				for range rng.IntN(12) {
					k := key()
					switch rng.IntN(5) {
					case 0:
						delete(next, k)
						if err := tx.Delete([]byte(k)); err != nil {
							return err
						}
					case 1, 2:
						next[k] = fmt.Sprint(step)
						if !large && rng.IntN(40) == 0 {
							large = true
							next[k] = strings.Repeat("x", state.MaxInline-2+rng.IntN(5))
						}
						if err := tx.Set([]byte(k), []byte(next[k])); err != nil {
							return err
						}
					case 3:
						v, err := tx.Get([]byte(k))
						if want, ok := next[k]; ok != (err == nil) || string(v) != want {
							t.Errorf("step %d: %s is %.20q, %v, want %.20q", step, k, v, err, want)
						}
					case 4:
						p, a := prefix(), after()
						if got, err := listing(tx, p, a); err != nil || got != next.listing(p, a) {
							t.Errorf("step %d: scan of %q after %q differs, %v", step, p, a, err)
						}
					}
				}
				if !keep {
					return fail
				}
				return nil
			})
			if keep && err != nil || !keep && err != fail {
				t.Fatal(err)
			}
			if keep {
				m = next
			}
			if step%10 == 0 {
				p, a := prefix(), after()
				requireListing(t, db, p, a, m.listing(p, a))
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		requireListing(t, reopen(), "", nil, m.listing("", nil))
	})
}
