package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vouchmill/vouchmill/engine/state"
)

var background = context.Background()

// kinds are the DBs that must behave alike. reopen closes nothing: it is called
// after Close.
var kinds = map[string]func(t *testing.T) (db state.DB, reopen func() state.DB){
	"memory": func(t *testing.T) (state.DB, func() state.DB) {
		m := state.NewMemory()
		return m, func() state.DB { m = m.Reopen(); return m }
	},
	"badger": func(t *testing.T) (state.DB, func() state.DB) {
		dir := filepath.Join(t.TempDir(), "db")
		return openBadger(t, dir, state.Options{Create: true}), func() state.DB { return openBadger(t, dir, state.Options{}) }
	},
}

func openBadger(t testing.TB, dir string, opts state.Options) *state.Badger {
	t.Helper()
	db, err := state.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// each runs a test over every kind of DB.
func each(t *testing.T, f func(t *testing.T, db state.DB, reopen func() state.DB)) {
	for name, make := range kinds {
		t.Run(name, func(t *testing.T) {
			db, reopen := make(t)
			f(t, db, reopen)
		})
	}
}

func set(t testing.TB, db state.DB, pairs ...string) {
	t.Helper()
	if err := db.Update(background, func(tx state.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.Set([]byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// listing is what a scan shows, as "key=value" in order.
func listing(r state.Reader, prefix string, after []byte) (string, error) {
	var out []string
	err := r.Scan([]byte(prefix), after, func(key, value []byte) error {
		out = append(out, string(key)+"="+string(value))
		return nil
	})
	return strings.Join(out, " "), err
}

func requireListing(t testing.TB, db state.DB, prefix string, after []byte, want string) {
	t.Helper()
	if err := db.View(background, func(r state.Reader) error {
		got, err := listing(r, prefix, after)
		if got != want {
			t.Errorf("scan of %q after %q shows %.200q, want %.200q", prefix, after, got, want)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestWhatAnUpdateWroteIsReadThenAndAfterReopening(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, reopen func() state.DB) {
		set(t, db, "a", "1", "b", "", "!badger!x", "2", "c", "3")
		if err := db.Update(background, func(tx state.Tx) error {
			return errors.Join(tx.Delete([]byte("a")), tx.Delete([]byte("never there")), tx.Set([]byte("c"), []byte("4")))
		}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			requireListing(t, db, "", nil, "!badger!x=2 b= c=4")
			if err := db.View(background, func(r state.Reader) error {
				v, err := r.Get([]byte("b"))
				if v == nil || len(v) != 0 || err != nil {
					t.Errorf("an empty value is read as %v, %v", v, err)
				}
				for _, key := range []string{"a", "", "d", strings.Repeat("x", state.MaxKey+1)} {
					if _, err := r.Get([]byte(key)); !errors.Is(err, state.ErrNotFound) {
						t.Errorf("key %.20q: error %v, want ErrNotFound", key, err)
					}
				}
				v, err = r.Get([]byte("c"))
				if err == nil {
					v[0] = 'x' // it is the caller's
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = reopen()
		}
	})
}

func TestScanIsInOrderFromAfterAndOverOwnWrites(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, _ func() state.DB) {
		set(t, db, "a", "0", "p/", "1", "p/a", "2", "p/c", "3", "p/e", "4", "p0", "5")
		requireListing(t, db, "p/", nil, "p/=1 p/a=2 p/c=3 p/e=4")
		requireListing(t, db, "p/", []byte("p/a"), "p/c=3 p/e=4")
		requireListing(t, db, "p/", []byte("p/b"), "p/c=3 p/e=4")
		requireListing(t, db, "p/", []byte("p/e"), "")
		requireListing(t, db, "p/", []byte("a"), "p/=1 p/a=2 p/c=3 p/e=4")
		requireListing(t, db, "p/", []byte{}, "p/=1 p/a=2 p/c=3 p/e=4")
		requireListing(t, db, "p/", []byte("q"), "")
		requireListing(t, db, "", nil, "a=0 p/=1 p/a=2 p/c=3 p/e=4 p0=5")
		if err := db.Update(background, func(tx state.Tx) error {
			err := errors.Join(tx.Set([]byte("p/b"), []byte("new")), tx.Delete([]byte("p/c")),
				tx.Set([]byte("p/e"), []byte("other")), tx.Set([]byte("p/f"), []byte("last")), tx.Set([]byte("b"), []byte("x")))
			for after, want := range map[string]string{
				"":    "p/=1 p/a=2 p/b=new p/e=other p/f=last",
				"p/a": "p/b=new p/e=other p/f=last",
				"p/b": "p/e=other p/f=last",
				"p/e": "p/f=last",
				"p/f": "",
			} {
				got, serr := listing(tx, "p/", []byte(after))
				if err = errors.Join(err, serr); got != want {
					t.Errorf("after %q the scan shows %q, want %q", after, got, want)
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		requireListing(t, db, "p/", nil, "p/=1 p/a=2 p/b=new p/e=other p/f=last")
	})
}

func TestScanGoesOverWhatWasThereWhenItBegan(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, _ func() state.DB) {
		set(t, db, "a", "1", "b", "2", "c", "3")
		var seen []string
		if err := db.Update(background, func(tx state.Tx) error {
			return tx.Scan(nil, nil, func(key, value []byte) error {
				seen = append(seen, string(key))
				if v, err := tx.Get(key); err != nil || !bytes.Equal(v, value) {
					t.Errorf("within the scan %q is %q, %v", key, v, err)
				}
				return errors.Join(tx.Delete(key), tx.Set(append([]byte("z"), key...), value))
			})
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(seen, []string{"a", "b", "c"}) {
			t.Errorf("the scan showed %v", seen)
		}
		requireListing(t, db, "", nil, "za=1 zb=2 zc=3")
	})
}

func TestScanEndsAsItsFunctionSays(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, _ func() state.DB) {
		set(t, db, "a", "1", "b", "2")
		broken := errors.New("broken")
		scan := func(r state.Reader) error {
			for end, want := range map[error]error{state.ErrStop: nil, broken: broken} {
				n := 0
				err := r.Scan(nil, nil, func(_, _ []byte) error { n++; return end })
				if err != want || n != 1 {
					t.Errorf("a scan that ended with %v returned %v after %d keys", end, err, n)
				}
			}
			return nil
		}
		if err := db.View(background, scan); err != nil {
			t.Error(err)
		}
		if err := db.Update(background, func(tx state.Tx) error {
			_ = tx.Set([]byte("0"), nil)
			return scan(tx)
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsKeptOfAnUpdateThatFails(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, reopen func() state.DB) {
		set(t, db, "a", "1")
		broken := errors.New("broken")
		write := func(tx state.Tx) { _, _ = tx.Set([]byte("b"), []byte("2")), tx.Delete([]byte("a")) }
		err := db.Update(background, func(tx state.Tx) error { write(tx); return broken })
		if err != broken {
			t.Errorf("error %v, want that of the function", err)
		}
		var panicked *state.PanicError
		err = db.Update(background, func(tx state.Tx) error { write(tx); panic(broken) })
		if !errors.As(err, &panicked) || !errors.Is(err, broken) || !strings.Contains(string(panicked.Stack), "conformance_test") {
			t.Errorf("error %v, want the panic", err)
		}
		var caller sync.WaitGroup
		caller.Go(func() { // it may be the caller's that ends
			if err := db.Update(background, func(tx state.Tx) error { write(tx); runtime.Goexit(); return nil }); err == nil {
				t.Error("a function that ended its goroutine passed")
			}
		})
		caller.Wait()
		requireListing(t, db, "", nil, "a=1")
		set(t, db, "c", "3") // the committer lives
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		requireListing(t, reopen(), "", nil, "a=1 c=3")
	})
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("k", state.MaxKey)
	for name, c := range map[string]struct {
		write func(tx state.Tx) error
		what  string // empty: it passes
	}{
		"longest key":    {func(tx state.Tx) error { return tx.Set([]byte(long), nil) }, ""},
		"longer key":     {func(tx state.Tx) error { return tx.Set([]byte(long+"k"), nil) }, "key"},
		"empty key":      {func(tx state.Tx) error { return tx.Set(nil, nil) }, "key"},
		"delete empty":   {func(tx state.Tx) error { return tx.Delete(nil) }, "key"},
		"longest value":  {func(tx state.Tx) error { return tx.Set([]byte("v"), make([]byte, state.MaxValue)) }, ""},
		"longer value":   {func(tx state.Tx) error { return tx.Set([]byte("v"), make([]byte, state.MaxValue+1)) }, "value"},
		"many keys":      {many(state.MaxUpdateEntries, 8), ""},
		"too many keys":  {many(state.MaxUpdateEntries+1, 8), "entries"},
		"many octets":    {many(8, state.MaxUpdateBytes/8-40), ""},
		"too many":       {many(8, state.MaxUpdateBytes/8-30), "octets"},
		"large values":   {many(state.MaxUpdateLarge/state.MaxValue, state.MaxValue), ""},
		"too many large": {many(state.MaxUpdateLarge/state.MaxValue+1, state.MaxValue), "octets of large values"},
		"one again and again": {func(tx state.Tx) error {
			for range 3 * state.MaxUpdateEntries {
				if err := tx.Set([]byte("k"), make([]byte, 100)); err != nil {
					return err
				}
			}
			return nil
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, db state.DB, reopen func() state.DB) {
				var inner error
				err := db.Update(background, func(tx state.Tx) error {
					inner = c.write(tx)
					return nil // the update fails all the same
				})
				var limit *state.LimitError
				switch {
				case c.what == "" && (err != nil || inner != nil):
					t.Fatal(err, inner)
				case c.what != "" && (!errors.As(err, &limit) || limit.What != c.what || inner == nil):
					t.Fatalf("error %v, from Set %v, want the limit on %s", err, inner, c.what)
				}
				before := digest(t, db)
				if (before == "") != (c.what != "") {
					t.Errorf("kept %q", before)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				if after := digest(t, reopen()); after != before {
					t.Errorf("reopened it holds %q, before %q", after, before)
				}
			})
		})
	}
}

// many writes n values of size octets under keys of 8.
func many(n, size int) func(tx state.Tx) error {
	return func(tx state.Tx) error {
		var err error
		for i := range n {
			if e := tx.Set(fmt.Appendf(nil, "%08d", i), bytes.Repeat([]byte{byte(i)}, size)); e != nil {
				err = e
			}
		}
		return err
	}
}

// digest tells contents apart without showing them.
func digest(t testing.TB, db state.DB) string {
	var b strings.Builder
	n, octets, sum := 0, 0, 0
	if err := db.View(background, func(r state.Reader) error {
		return r.Scan(nil, nil, func(key, value []byte) error {
			n, octets = n+1, octets+len(value)
			for i := 0; i < len(value); i += 1000 {
				sum += int(value[i])
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if n > 0 {
		fmt.Fprintf(&b, "%d values, %d octets, sum %d", n, octets, sum)
	}
	return b.String()
}

func TestUpdatesThatDoNotFitOneCommitArePutIntoMore(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, reopen func() state.DB) {
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if err := db.Update(background, func(tx state.Tx) error {
					n := 0
					if err := tx.Scan([]byte("k"), nil, func(_, _ []byte) error { n++; return nil }); err != nil {
						return err
					}
					if err := tx.Set([]byte("count"), []byte{byte(n + 1)}); err != nil {
						return err
					}
					return tx.Set(fmt.Appendf(nil, "k%d", i), make([]byte, 400<<10))
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		requireListing(t, reopen(), "count", nil, "count=\x28")
	})
}

func TestUpdatesAreSerial(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, reopen func() state.DB) {
		const goroutines, rounds = 16, 50
		lost := errors.New("not this time")
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range rounds {
					err := db.Update(background, func(tx state.Tx) error {
						v, err := tx.Get([]byte("n"))
						if err != nil && !errors.Is(err, state.ErrNotFound) {
							return err
						}
						var n int
						_, _ = fmt.Sscan(string(v), &n)
						if err := tx.Set([]byte("n"), fmt.Append(nil, n+1)); err != nil {
							return err
						}
						if i%5 == 4 {
							return lost
						}
						return tx.Set(fmt.Appendf(nil, "by %d/%d", g, i), fmt.Append(nil, n+1))
					})
					if i%5 == 4 && err != lost || i%5 != 4 && err != nil {
						t.Errorf("error %v", err)
					}
				}
			})
		}
		wg.Wait()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = reopen()
		requireListing(t, db, "n", nil, fmt.Sprint("n=", goroutines*rounds*4/5))
		seen := map[string]bool{}
		if err := db.View(background, func(r state.Reader) error {
			return r.Scan([]byte("by "), nil, func(_, v []byte) error {
				if seen[string(v)] {
					t.Errorf("%s was counted twice", v)
				}
				seen[string(v)] = true
				return nil
			})
		}); err != nil || len(seen) != goroutines*rounds*4/5 {
			t.Error(len(seen), err)
		}
	})
}

func TestViewSeesOneStateWhateverHappensMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, _ func() state.DB) {
		set(t, db, "a", "1", "b", "1")
		if err := db.View(background, func(r state.Reader) error {
			set(t, db, "a", "2", "b", "2", "c", "2") // a View may be in the way of no Update
			got, err := listing(r, "", nil)
			if got != "a=1 b=1" {
				t.Errorf("the View sees %q", got)
			}
			requireListing(t, db, "", nil, "a=2 b=2 c=2")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Update(background, func(tx state.Tx) error {
			if err := tx.Set([]byte("d"), nil); err != nil {
				return err
			}
			requireListing(t, db, "", nil, "a=2 b=2 c=2")
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReaderAndTxEndWithTheirFunction(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, _ func() state.DB) {
		var r state.Reader
		var tx state.Tx
		if err := errors.Join(
			db.View(background, func(given state.Reader) error { r = given; return nil }),
			db.Update(background, func(given state.Tx) error { tx = given; return nil }),
		); err != nil {
			t.Fatal(err)
		}
		for _, r := range []state.Reader{r, tx} {
			if _, err := r.Get([]byte("a")); !errors.Is(err, state.ErrFinished) {
				t.Error(err)
			}
			if err := r.Scan(nil, nil, nil); !errors.Is(err, state.ErrFinished) {
				t.Error(err)
			}
		}
		if err := tx.Set([]byte("a"), nil); !errors.Is(err, state.ErrFinished) {
			t.Error(err)
		}
		if err := tx.Delete([]byte("a")); !errors.Is(err, state.ErrFinished) {
			t.Error(err)
		}
	})
}

func TestContextThatEndsKeepsAFunctionFromBeingCalled(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, _ func() state.DB) {
		ended, cancel := context.WithCancel(background)
		cancel()
		never := func() error { t.Error("it was called"); return nil }
		if err := db.Update(ended, func(state.Tx) error { return never() }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := db.View(ended, func(state.Reader) error { return never() }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}

		// One update holds the committer while another waits and gives up.
		holding, release, waiting := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		var wg sync.WaitGroup
		during, stop := context.WithCancel(background)
		wg.Go(func() {
			if err := db.Update(during, func(tx state.Tx) error {
				close(holding)
				<-release
				return tx.Set([]byte("held"), nil)
			}); err != nil {
				t.Errorf("the context ended while it ran, which is of no influence: %v", err)
			}
		})
		<-holding
		stop()
		ctx, giveUp := context.WithCancel(background)
		wg.Go(func() { waiting <- db.Update(ctx, func(state.Tx) error { return never() }) })
		giveUp()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(release)
		wg.Wait()
		requireListing(t, db, "", nil, "held=")

		ctx, cancel = context.WithCancel(background)
		if err := db.View(ctx, func(r state.Reader) error {
			cancel()
			_, err := r.Get([]byte("held"))
			return err
		}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestCloseWaitsAndEndsEverything(t *testing.T) {
	each(t, func(t *testing.T, db state.DB, reopen func() state.DB) {
		viewing, updating, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := db.View(background, func(r state.Reader) error {
				close(viewing)
				<-release
				_, err := listing(r, "", nil)
				return err
			}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := db.Update(background, func(tx state.Tx) error {
				close(updating)
				<-release
				return tx.Set([]byte("a"), nil)
			}); err != nil {
				t.Error(err)
			}
		})
		<-viewing
		<-updating
		wg.Go(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		for db.View(background, func(state.Reader) error { return nil }) == nil {
			runtime.Gosched() // until Close has begun
		}
		if err := db.Update(background, func(state.Tx) error { return nil }); !errors.Is(err, state.ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
		close(release)
		wg.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		requireListing(t, reopen(), "", nil, "a=")
	})
}
