//go:build amd64 && !purego

package wide

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// The structure of the code is checked in gen: no address and no branch depends
// on data. This test looks at the processor instead, in the manner of dudect:
// it times signing with two kinds of nonces, in random order, and asks by
// Welch's t-test whether the times differ. It says nothing on a busy machine,
// so it runs only if VOUCHMILL_TIMING is set, and for two minutes at most.
func TestTimeDoesNotDependOnNonces(t *testing.T) {
	skipWithoutWide(t)
	if os.Getenv("VOUCHMILL_TIMING") == "" {
		t.Skip("VOUCHMILL_TIMING is not set")
	}
	const samples, limit = 1_000_000, 2 * time.Minute
	s, _ := signersOf(t, testKey(40))
	r := rand.New(rand.NewPCG(1, 2))
	var kinds [512][16]words4
	for i := range kinds {
		for lane := range kinds[i] {
			kinds[i][lane] = words4{1} // even i: the smallest nonce
			if i%2 == 1 {
				kinds[i][lane] = words4{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64() >> 1}
			}
		}
	}
	w := aligned[signScratch]()
	table := generatorTable()
	var times [2][]float64
	for start := time.Now(); len(times[0])+len(times[1]) < samples && time.Since(start) < limit; {
		kind := r.IntN(2)
		copy(w.k[:16], kinds[2*r.IntN(len(kinds)/2)+kind][:])
		begin := time.Now()
		combSign(&w.work, (*[2]item)(w.items[:2]), (*[16]words4)(w.k[:16]), table)
		invertItems(&w.powers, &w.work[0], &w.items[0], 2)
		finishSign(&w.work, (*[2]item)(w.items[:2]), (*[16][32]byte)(w.digests[:16]), s.wide.d, &w.sigs)
		times[kind] = append(times[kind], float64(time.Since(begin)))
	}
	for _, crop := range []float64{0.5, 0.9} {
		m0, v0, n0 := moments(times[0], quantile(times, crop))
		m1, v1, n1 := moments(times[1], quantile(times, crop))
		statistic := (m0 - m1) / math.Sqrt(v0/n0+v1/n1)
		t.Logf("fastest %.0f %%: %.1f ns (%.0f samples) and %.1f ns (%.0f), t = %.2f", 100*crop, m0, n0, m1, n1, statistic)
		if math.Abs(statistic) > 10 {
			t.Errorf("the times differ, t = %.1f", statistic)
		}
	}
}

// quantile is the time that the given part of both kinds together stays below.
func quantile(times [2][]float64, part float64) float64 {
	low, high := 0.0, 1e9
	total := float64(len(times[0]) + len(times[1]))
	for range 60 {
		mid := (low + high) / 2
		below := 0.0
		for _, kind := range times {
			for _, x := range kind {
				if x < mid {
					below++
				}
			}
		}
		if below < part*total {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

func moments(x []float64, below float64) (mean, variance, n float64) {
	for _, v := range x {
		if v <= below {
			mean += v
			n++
		}
	}
	mean /= n
	for _, v := range x {
		if v <= below {
			variance += (v - mean) * (v - mean)
		}
	}
	return mean, variance / (n - 1), n
}
