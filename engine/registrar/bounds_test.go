package registrar

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestBreakerPausesAndTriesOnce(t *testing.T) {
	var b breakers
	now := noon
	fail := func() {
		t.Helper()
		if ok, wait := b.allow("masa:443", now); !ok {
			t.Fatalf("held back for %s", wait)
		}
		b.done("masa:443", false, now)
	}
	for range breakAfter {
		fail()
	}
	for pause := firstBreak; ; pause *= 2 {
		pause = min(pause, maxBreak)
		if ok, wait := b.allow("masa:443", now.Add(pause-1)); ok || wait != 1 {
			t.Fatalf("pause %s: allowed %v, wait %s", pause, ok, wait)
		}
		now = now.Add(pause)
		if ok, _ := b.allow("masa:443", now); !ok {
			t.Fatal("no call tries after the pause")
		}
		if ok, wait := b.allow("masa:443", now); ok || wait <= 0 {
			t.Fatal("two calls try at once")
		}
		b.done("masa:443", false, now)
		if pause == maxBreak {
			break
		}
	}
	now = now.Add(maxBreak)
	if ok, _ := b.allow("masa:443", now); !ok {
		t.Fatal("held back")
	}
	b.done("masa:443", true, now)
	for range breakAfter {
		fail()
	}
	if ok, _ := b.allow("other:443", now); !ok {
		t.Error("another MASA is held back too")
	}
}

func TestBreakersAreBounded(t *testing.T) {
	var b breakers
	for i := range 3 * maxBreakers {
		b.done(fmt.Sprint("masa", i, ":443"), false, noon)
	}
	if n := len(b.all); n > maxBreakers {
		t.Errorf("%d of them", n)
	}
}

func TestBudgetRefills(t *testing.T) {
	b := budget{burst: 3, refill: time.Second}
	key, now := digest{1}, noon
	for range 2 {
		for i := range 3 {
			if _, ok := b.take(key, now); !ok {
				t.Fatalf("request %d is held back", i)
			}
		}
		if wait, ok := b.take(key, now); ok || wait != time.Second {
			t.Errorf("allowed %v, wait %s", ok, wait)
		}
		if _, ok := b.take(digest{2}, now); !ok {
			t.Error("another client is held back")
		}
		now = now.Add(3 * time.Second)
	}
	if wait, ok := b.take(key, now.Add(-time.Hour)); !ok {
		t.Errorf("a clock that went back holds a client back for %s", wait)
	}
}

func TestBudgetsAreBounded(t *testing.T) {
	b := budget{burst: 3, refill: time.Second}
	for i := range 3 * maxClients {
		var key digest
		binary.BigEndian.PutUint64(key[:], uint64(i))
		b.take(key, noon)
	}
	if n := len(b.all); n > maxClients {
		t.Errorf("%d clients", n)
	}
}

func TestShellWords(t *testing.T) {
	for in, want := range map[string]string{
		"0a1b/SN-1":  "0a1b/SN-1",
		"0a/PID:x 1": "'0a/PID:x 1'",
		"0a/$(id)":   "'0a/$(id)'",
		"0a/it's":    `'0a/it'\''s'`,
		"":           "''",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
