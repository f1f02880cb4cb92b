package bench

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/sign"
)

var formats = []codec.Format{codec.FormatCMS, codec.FormatJWS, codec.FormatCOSE}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A setup is a fixture with what the benchmarks of one envelope format need.
type setup struct {
	*Fixture
	format   codec.Format
	template *run.Template
}

func newSetup(t testing.TB, format codec.Format) setup {
	t.Helper()
	f := must(NewFixture())(t)
	return setup{f, format, must(f.Template(format))(t)}
}

// signer returns the fixture's signer, the best there is or the one of
// VOUCHMILL_SIGN_IMPL, or with "none" one that does not sign.
func (s setup) signer(t testing.TB, alg string) sign.Signer {
	t.Helper()
	if alg == "none" {
		return NewConstantSigner(sign.ES256, s.Key.Public())
	}
	signer := must(s.Signer(""))(t)
	t.Cleanup(func() { signer.Close() })
	return signer
}

// serials returns n serial numbers of 12 characters in shuffled order.
func serials(n int) [][]byte {
	s := list.Synthetic{Count: uint64(n), Seed: 1}
	out := make([][]byte, n)
	for i := range out {
		out[i] = s.AppendSerial(nil, uint64(i))
	}
	return out
}

// deviceList returns the CSV list of n shuffled devices.
func deviceList(t testing.TB, n uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := (&list.Synthetic{Count: n, Seed: 1}).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// vouchers returns n signed vouchers.
func vouchers(t testing.TB, s setup, n int) [][]byte {
	t.Helper()
	b := must(NewBatch(s.signer(t, "es256"), s.template))(t)
	if err := b.Make(serials(n)); err != nil {
		t.Fatal(err)
	}
	out := make([][]byte, n)
	for i := range out {
		out[i] = bytes.Clone(b.Voucher(i))
	}
	return out
}

// octetsIn sums the sizes of the files below dir.
func octetsIn(t testing.TB, dir string) (octets int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		octets += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return octets
}

// reportVouchers adds the rate and what a voucher cost.
func reportVouchers(b *testing.B, vouchers float64, cpu time.Duration) {
	b.ReportMetric(vouchers/b.Elapsed().Seconds(), "vouchers/s")
	ReportCPU(b, cpu, vouchers, "voucher")
}
