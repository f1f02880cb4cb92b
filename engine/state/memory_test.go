package state_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/vouchmill/vouchmill/engine/state"
)

func TestFaultsOfAMemory(t *testing.T) {
	for _, c := range []struct {
		fault state.Fault
		kept  bool // what was committed is there after Reopen
		crash bool
	}{
		{state.NoFault, true, false},
		{state.FailBefore, false, false},
		{state.FailAfter, true, false},
		{state.CrashBefore, false, true},
		{state.CrashAfter, true, true},
	} {
		db := state.NewMemory()
		db.OnCommit(func(n uint64) state.Fault {
			if n == 1 {
				return c.fault
			}
			return state.NoFault
		})
		set(t, db, "a", "1")
		err := db.Update(background, func(tx state.Tx) error { return tx.Set([]byte("b"), []byte("2")) })
		var failed *state.FailedError
		switch {
		case c.fault == state.NoFault && err != nil,
			c.crash && !errors.Is(err, state.ErrClosed),
			c.fault != state.NoFault && !c.crash && !errors.As(err, &failed):
			t.Errorf("fault %d: error %v", c.fault, err)
		}
		next := db.Update(background, func(tx state.Tx) error { return tx.Set([]byte("c"), []byte("3")) })
		if (next == nil) != (c.fault == state.NoFault) {
			t.Errorf("fault %d: the next update: %v", c.fault, next)
		}
		switch err := db.View(background, func(state.Reader) error { return nil }); {
		case c.crash && !errors.Is(err, state.ErrClosed):
			t.Errorf("fault %d: a dead DB is read: %v", c.fault, err)
		case !c.crash && c.fault != state.NoFault:
			requireListing(t, db, "", nil, "a=1") // and reading goes on
		}
		want := "a=1"
		if c.kept {
			want += " b=2"
		}
		if c.fault == state.NoFault {
			want += " c=3"
		}
		again := db.Reopen()
		requireListing(t, again, "", nil, want)
		set(t, again, "d", "4")
		requireListing(t, again, "", nil, want+" d=4")
	}
}

func TestReopenKillsTheOneBefore(t *testing.T) {
	db := state.NewMemory()
	set(t, db, "a", "1")
	began, release, outcome := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		outcome <- db.Update(background, func(tx state.Tx) error {
			close(began)
			<-release
			return tx.Set([]byte("b"), nil)
		})
	}()
	<-began
	again := db.Reopen()
	close(release)
	if err := <-outcome; !errors.Is(err, state.ErrClosed) {
		t.Errorf("an update of a killed process returned %v", err)
	}
	requireListing(t, again, "", nil, "a=1")
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestAFullDiskStopsUpdatesUntilThereIsSpace(t *testing.T) {
	memory := state.NewMemory()
	var mu sync.Mutex
	free := uint64(1 << 40)
	setFree := func(n uint64) { mu.Lock(); free = n; mu.Unlock() }
	badger := openBadger(t, t.TempDir(), state.Options{Create: true, MinFreeBytes: 1 << 30, Free: func(string) (uint64, error) {
		mu.Lock()
		defer mu.Unlock()
		return free, nil
	}})
	for _, c := range []struct {
		db   state.DB
		fill func(full bool)
	}{
		{memory, memory.SetFull},
		{badger, func(full bool) {
			if full {
				setFree(1 << 30)
			} else {
				setFree(1 << 31)
			}
		}},
	} {
		set(t, c.db, "a", "1")
		c.fill(true)
		err := c.db.Update(background, func(state.Tx) error { t.Error("it was called"); return nil })
		var full *state.FullError
		if !errors.Is(err, state.ErrFull) || !errors.As(err, &full) {
			t.Errorf("error %v, want that the disk is full", err)
		}
		requireListing(t, c.db, "", nil, "a=1")
		c.fill(false)
		set(t, c.db, "b", "2")
		requireListing(t, c.db, "", nil, "a=1 b=2")
	}
}
