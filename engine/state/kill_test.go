package state_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/state"
)

// childDir, when set, makes the test binary a process that updates the DB
// there until it is killed.
const childDir = "VOUCHMILL_STATE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Println("error", transferUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const (
	accounts = 20
	balance  = 1000 // of each account at the start
	writers  = 8
)

func accountKey(i int) []byte { return fmt.Appendf(nil, "account/%02d", i) }

func number(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// transferUntilKilled moves money between accounts from several goroutines.
// Each prints "writer count" once the update with that count was acknowledged.
// With every transfer goes a value that fills memory tables.
func transferUntilKilled(dir string) error {
	db, err := state.Open(dir, state.Options{})
	if err != nil {
		return err
	}
	var out sync.Mutex
	failed := make(chan error)
	for w := range writers {
		go func() {
			rng := rand.New(rand.NewPCG(rand.Uint64(), uint64(w)))
			for {
				var n uint64
				err := db.Update(context.Background(), func(tx state.Tx) (err error) {
					n, err = transfer(tx, rng, w)
					return err
				})
				if err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Println(w, n)
				out.Unlock()
			}
		}()
	}
	return <-failed
}

func transfer(tx state.Tx, rng *rand.Rand, w int) (count uint64, err error) {
	from, to := rng.IntN(accounts), rng.IntN(accounts)
	a, err := tx.Get(accountKey(from))
	if err != nil {
		return 0, err
	}
	amount := uint64(rng.IntN(int(number(a)) + 1))
	if err := tx.Set(accountKey(from), binary.BigEndian.AppendUint64(nil, number(a)-amount)); err != nil {
		return 0, err
	}
	b, err := tx.Get(accountKey(to))
	if err != nil {
		return 0, err
	}
	if err := tx.Set(accountKey(to), binary.BigEndian.AppendUint64(nil, number(b)+amount)); err != nil {
		return 0, err
	}
	counter := fmt.Appendf(nil, "writer/%d", w)
	n, err := tx.Get(counter)
	if err != nil {
		return 0, err
	}
	count = number(n) + 1
	size := 8 << 10
	if rng.IntN(100) == 0 {
		size = state.MaxInline + rng.IntN(100_000)
	}
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(count)
	}
	return count, errors.Join(
		tx.Set(counter, binary.BigEndian.AppendUint64(nil, count)),
		tx.Set(fmt.Appendf(nil, "filler/%d/%d", w, count%64), value))
}

// runChild runs the process, kills it after life and returns the last count
// acknowledged to each writer.
func runChild(t *testing.T, dir string, life time.Duration) (acknowledged [writers]uint64) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	spoke, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var w int
			var n uint64
			if _, err := fmt.Sscan(sc.Text(), &w, &n); err != nil || w >= writers {
				t.Errorf("the updating process: %s", sc.Text())
				continue
			}
			if acknowledged == [writers]uint64{} {
				close(spoke)
			}
			acknowledged[w] = n
		}
	}()
	select {
	case <-spoke: // it is under way
	case <-read:
	}
	time.Sleep(life) // how far it gets is of no matter
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-read
	_ = cmd.Wait()
	return acknowledged
}

func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db := openBadger(t, dir, state.Options{Create: true})
	if err := db.Update(background, func(tx state.Tx) error {
		var err error
		for i := range accounts {
			err = errors.Join(err, tx.Set(accountKey(i), binary.BigEndian.AppendUint64(nil, balance)))
		}
		for w := range writers {
			err = errors.Join(err, tx.Set(fmt.Appendf(nil, "writer/%d", w), make([]byte, 8)))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		acknowledged := runChild(t, dir, time.Duration(rand.IntN(400))*time.Millisecond)
		if acknowledged == [writers]uint64{} {
			t.Fatal("the process was killed before anything was acknowledged")
		}
		db := openBadger(t, dir, state.Options{ReadOnly: round%2 == 0})
		if !db.Recovered() {
			t.Error("what a killed process left does not say it was recovered")
		}
		requireWhole(t, db, acknowledged)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// requireWhole checks that everything acknowledged is there, and that every
// update is there whole or not at all.
func requireWhole(t *testing.T, db state.DB, acknowledged [writers]uint64) {
	t.Helper()
	if err := db.View(background, func(r state.Reader) error {
		sum := uint64(0)
		if err := r.Scan([]byte("account/"), nil, func(_, v []byte) error { sum += number(v); return nil }); err != nil {
			return err
		}
		if sum != accounts*balance {
			t.Errorf("the accounts hold %d, want %d", sum, accounts*balance)
		}
		for w, acked := range acknowledged {
			v, err := r.Get(fmt.Appendf(nil, "writer/%d", w))
			if err != nil {
				return err
			}
			n := number(v)
			if n < acked {
				t.Errorf("writer %d: %d updates were acknowledged, %d are there", w, acked, n)
			}
			if n == 0 {
				continue
			}
			filler, err := r.Get(fmt.Appendf(nil, "filler/%d/%d", w, n%64))
			if err != nil {
				return err
			}
			if filler[0] != byte(n) || filler[len(filler)-1] != byte(n) {
				t.Errorf("writer %d: the value of update %d is that of another", w, n)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
