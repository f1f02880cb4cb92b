package sim

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// seedFlag plays one seed again, the one that a failure named.
var seedFlag = flag.Uint64("seed", 0, "play this seed alone")

func play(t *testing.T, seed uint64, opts Options) Counts {
	t.Helper()
	w, err := New(t.Context(), seed, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Run(); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	for _, v := range w.Violations() {
		t.Errorf("seed %d: %s", seed, v)
	}
	return w.Counts()
}

// Without trouble every device joins, and renews.
func TestThreeRolesJoined(t *testing.T) {
	c := play(t, 1, Options{Devices: 20})
	t.Logf("%+v", c)
	if c.Joined != 20 || c.Renewed != 20 || c.Vouchers < 20 || c.Crashes+c.Cuts+c.Lost != 0 {
		t.Errorf("%+v", c)
	}
}

func TestASeedTellsTheSameStory(t *testing.T) {
	opts := Options{Devices: 20, Attacks: 20, Trouble: 40}
	if first, second := play(t, 7, opts), play(t, 7, opts); first != second {
		t.Errorf("%+v, then %+v", first, second)
	}
}

// The attacks reach what they are aimed at: without the check that keeps them
// out, they succeed.
func TestAWorldWithAHoleShowsIt(t *testing.T) {
	for seed := range uint64(20) {
		w, err := New(t.Context(), seed, Options{Devices: 15, Attacks: 60, PlainRegistrars: true})
		if err != nil {
			t.Fatal(err)
		}
		err = w.Run()
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range w.Violations() {
			if !strings.Contains(v, "imprinted by a device that plays registrar") {
				t.Errorf("seed %d: %s", seed, v)
			}
		}
		if len(w.Violations()) > 0 {
			return
		}
	}
	t.Error("no device that plays registrar was believed")
}

// story is how large the world of a seed is: every 25th has hundreds of devices.
func story(seed uint64) Options {
	o := Options{Devices: 12 + int(seed%5)*5, Attacks: 30, Trouble: []int{5, 20, 60}[seed%3], Wild: seed%2 == 0}
	if seed%25 == 0 {
		o.Devices, o.Attacks = 200, 100
	}
	return o
}

// TestSeeds plays many stories. VOUCHMILL_SIM_SEEDS says how many.
func TestSeeds(t *testing.T) {
	seeds := uint64(12)
	if text := os.Getenv("VOUCHMILL_SIM_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		seeds = n
	}
	first := uint64(1)
	if *seedFlag != 0 {
		first, seeds = *seedFlag, 1
	} else if testing.Short() {
		seeds = 3
	}
	var total Counts
	var mu sync.Mutex
	var all sync.WaitGroup
	next := make(chan uint64)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := range next {
				c := play(t, seed, story(seed))
				mu.Lock()
				total.Joined += c.Joined
				total.Renewed += c.Renewed
				total.Vouchers += c.Vouchers
				total.Crashes += c.Crashes
				total.Cuts += c.Cuts
				total.Lost += c.Lost
				total.Attacks += c.Attacks
				total.Refusals += c.Refusals
				mu.Unlock()
			}
		})
	}
	for seed := first; seed < first+seeds; seed++ {
		next <- seed
	}
	close(next)
	all.Wait()
	t.Logf("%d seeds: %+v", seeds, total)
	if total.Joined == 0 || total.Crashes == 0 || total.Cuts == 0 || total.Lost == 0 || total.Attacks == 0 || total.Refusals == 0 {
		t.Errorf("something never happened: %+v", total)
	}
}
