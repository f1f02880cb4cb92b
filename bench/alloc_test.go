package bench

import (
	"runtime"
	"testing"

	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/store"
)

func TestEncodingAllocatesNothing(t *testing.T) {
	for _, format := range formats {
		holdNoAllocation(t, format.String(), newEncode(t, format))
	}
}

func TestDecodingAllocatesNothingOnceWarm(t *testing.T) {
	for _, format := range formats {
		holdNoAllocation(t, format.String(), newDecode(t, format, true))
	}
}

func TestMakingABatchOfFinishedVouchersAllocatesNothingOnceWarm(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector keeps what the compiler otherwise leaves on the stack from staying there")
	}
	devices := serials(256)
	for _, format := range formats {
		s := newSetup(t, format)
		signer := must(s.Signer("portable"))(t)
		defer signer.Close()
		batch := must(NewBatch(signer, s.template))(t)
		holdNoAllocation(t, format.String(), func() error { return batch.Make(devices) })
	}
}

func holdNoAllocation(t *testing.T, name string, op func() error) {
	t.Helper()
	var failed error
	once := func() {
		if err := op(); err != nil {
			failed = err
		}
	}
	once()
	if n := testing.AllocsPerRun(20, once); n != 0 || failed != nil {
		t.Errorf("%s: %v allocations, error %v", name, n, failed)
	}
}

// What a run allocates at its start, for each page (Badger: about 20 times), for
// each commit and for each chunk of the index is far from one for each voucher.
func TestALongerListTakesNoAllocationsAVoucherMore(t *testing.T) {
	const short, long = 50_000, 200_000
	for _, format := range formats {
		s := newSetup(t, format)
		signer := s.signer(t, "none")
		allocations := func(n uint64) float64 {
			devices := deviceList(t, n)
			st := must(store.Open(t.TempDir(), store.Options{Create: true}))(t)
			defer st.Close()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			must(issue.Run(t.Context(), s.job(st, signer, devices)))(t)
			runtime.ReadMemStats(&after)
			return float64(after.Mallocs - before.Mallocs)
		}
		if more := (allocations(long) - allocations(short)) / (long - short); more > 0.2 {
			t.Errorf("%v: %.3f allocations for each further voucher", format, more)
		}
	}
}
