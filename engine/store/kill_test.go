package store_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/store"
)

// childDir, when set, makes the test binary a process that appends to the
// store there until it is killed.
const childDir = "VOUCHMILL_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(appendUntilKilled(dir, os.Getenv(childDir+"_TOTAL")))
	}
	os.Exit(m.Run())
}

var smallCommits = store.Options{Create: true, CommitBytes: 128 << 10, SyncBytes: 512 << 10, SyncInterval: 3 * time.Millisecond}

// appendUntilKilled continues the run and prints each durable count as soon as
// it is known, one a line.
func appendUntilKilled(dir, total string) int {
	var limit uint64
	if _, err := fmt.Sscan(total, &limit); err != nil {
		limit = 1 << 62
	}
	fail := func(err error) int {
		fmt.Println("error", err)
		return 1
	}
	s, err := store.Open(dir, smallCommits)
	if err != nil {
		return fail(err)
	}
	r, err := s.Run("lot")
	if err != nil {
		return fail(err)
	}
	a, err := r.Appender()
	if err != nil {
		return fail(err)
	}
	m := &maker{run: r}
	var said uint64
	for _, at := a.Appended(); at < limit; _, at = a.Appended() {
		if err := a.Append(m.next(childTB{}, at, 256)); err != nil {
			return fail(err)
		}
		if _, durable := a.Durable(); durable > said {
			said = durable
			fmt.Println("durable", durable)
		}
	}
	if err := a.Finish([]byte("done")); err != nil {
		return fail(err)
	}
	fmt.Println("finished", limit)
	return 0
}

// childTB stands for the test in a process that has none.
type childTB struct{ testing.TB }

func (childTB) Helper() {}

func (childTB) Fatal(args ...any) {
	fmt.Println(append([]any{"error"}, args...)...)
	os.Exit(1)
}

// runChild runs the appending process, kills it after the time given (0: lets
// it finish) and returns what it said was durable.
func runChild(t *testing.T, dir string, total uint64, life time.Duration) (durable uint64) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s_TOTAL=%d", childDir, total))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last atomic.Uint64
	spoke, read := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(read)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			word, rest, _ := strings.Cut(sc.Text(), " ")
			var n uint64
			if _, err := fmt.Sscan(rest, &n); err != nil || word == "error" {
				t.Errorf("the appending process: %s", sc.Text())
				continue
			}
			last.Store(n)
			select {
			case spoke <- struct{}{}:
			default:
			}
		}
	}()
	if life > 0 {
		select {
		case <-spoke: // it is under way
		case <-read:
		}
		time.Sleep(life)
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	}
	<-read
	err = cmd.Wait()
	if life == 0 && err != nil {
		t.Error(err)
	}
	return last.Load()
}

func TestKilledProcessLosesNothingDurable(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, smallCommits)
	createRun(t, s, "lot")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	var total uint64
	for round := range rounds {
		durable := runChild(t, dir, 1<<62, time.Duration(rand.IntN(60_000))*time.Microsecond)
		if durable == 0 {
			t.Fatal("the process was killed before anything was durable")
		}
		s, err := store.Open(dir, store.Options{ReadOnly: round%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		if !s.Recovered() {
			t.Error("a killed process's store does not say it was recovered")
		}
		r, err := s.Run("lot")
		if err != nil {
			t.Fatal(err)
		}
		n := requireRun(t, r, max(durable, total))
		requireFound(t, r, n-1)
		requireSound(t, s)
		total = n
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	requireCut(t, dir)
	total = (total/256 + 10) * 256
	runChild(t, dir, total, 0)
	s = open(t, dir, store.Options{ReadOnly: true})
	r, err := s.Run("lot")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := r.Info(); err != nil || info.State != store.Complete || info.Vouchers != total {
		t.Fatalf("after all the run is %+v, %v", info, err)
	}
	var tree merkle.Range
	var rng merkle.Range
	for v, err := range r.Pages(0) {
		if err != nil {
			t.Fatal(err)
		}
		v.Range(&rng)
		if err := tree.Merge(&rng, nil); err != nil {
			t.Fatal(err)
		}
	}
	var want merkle.Range
	for at := range total {
		want.Append(leafAt("lot", at))
	}
	if tree.Root() != want.Root() {
		t.Error("the Merkle root of the run is not that of an uninterrupted one")
	}
}

// requireCut tells that no file of the value log has the length Badger maps it
// with any more.
func requireCut(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no value log: %v", err)
	}
	for _, path := range logs {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() >= 512<<20 {
			t.Errorf("%s is still %d octets long", path, info.Size())
		}
	}
}
