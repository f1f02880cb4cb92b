package issue_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// pki is a voucher signer with its chain, and a domain CA to pin.
type pki struct {
	signer sign.Signer
	chain  []*x509.Certificate
	domain []byte
}

func newPKI(t testing.TB, alg *sign.Algorithm) *pki {
	t.Helper()
	demo, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: alg, CommonName: "Test MASA", NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(20, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	domain, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: sign.ES256, CommonName: "Test Domain", NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(10, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.LoadKey(demo.SignerKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &pki{}
	if p.signer, err = sign.NewSigner(alg, key, sign.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.signer.Close() })
	if p.chain, err = sign.LoadChain(demo.Signer); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(domain.CA)
	p.domain = block.Bytes
	return p
}

func (p *pki) header(format string) run.Header {
	h := run.Header{Format: format, Algorithm: p.signer.Algorithm().Name, CreatedOn: run.FormatTime(epoch), ExpiresOn: "365d",
		Assertion: "logged", PinAs: run.PinCert, Pins: []run.Pin{{Cert: p.domain}}, SerialFrom: "subject", SerialBytes: 64}
	for _, c := range p.chain {
		h.Chain = append(h.Chain, c.Raw)
	}
	return h
}

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func rows(text string) func() (*list.Reader, error) {
	return func() (*list.Reader, error) {
		return list.NewReader(strings.NewReader(text), list.Options{Name: "devices"})
	}
}

func serials(n int) string {
	var b strings.Builder
	b.WriteString("serial-number\n")
	for i := range n {
		fmt.Fprintf(&b, "SN-%06d\n", i*7919%n)
	}
	return b.String()
}

// vouchers rebuilds and proves every voucher of a run.
func vouchers(t testing.TB, s *store.Store, name string) [][]byte {
	t.Helper()
	r, err := s.Run(name)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := run.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for view, err := range r.Pages(0) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range view.Count() {
			v, err := reader.Variant(view.Variant(i))
			if err != nil {
				t.Fatal(err)
			}
			b, err := reader.Voucher(run.Found{Hit: store.Hit{Run: r, Serial: view.Serial(i), Signature: view.Signature(i)}, StoredVariant: v})
			if err != nil {
				t.Fatalf("voucher %d: %v", i, err)
			}
			out = append(out, b)
		}
	}
	return out
}

func TestEveryFormatAndAlgorithmIssuesVouchersThatVerify(t *testing.T) {
	for _, alg := range []*sign.Algorithm{sign.ES256, sign.ES384, sign.Ed25519} {
		p := newPKI(t, alg)
		for _, format := range []string{"cms", "jws", "cose"} {
			t.Run(alg.Name+"/"+format, func(t *testing.T) {
				s := openStore(t, t.TempDir())
				result, err := issue.Run(context.Background(), issue.Config{Store: s, Header: p.header(format), Signer: p.signer, Devices: rows(serials(600))})
				if err != nil {
					t.Fatal(err)
				}
				if result.Vouchers != 600 || result.Signed != 600 {
					t.Fatalf("result %+v", result)
				}
				if n := len(vouchers(t, s, result.Run)); n != 600 {
					t.Fatalf("%d vouchers, want 600", n)
				}
			})
		}
	}
}

func TestTheSameCommandAfterCompletionSignsNothing(t *testing.T) {
	p := newPKI(t, sign.ES256)
	s := openStore(t, t.TempDir())
	h := p.header("cms")
	h.Name = "lot"
	for i := range 2 {
		result, err := issue.Run(context.Background(), issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(serials(10))})
		if err != nil {
			t.Fatal(err)
		}
		if result.AlreadyComplete != (i == 1) {
			t.Fatalf("call %d: %+v", i+1, result)
		}
	}
}

func TestOtherSettingsUnderTheSameNameAreRefusedByName(t *testing.T) {
	p := newPKI(t, sign.ES256)
	s := openStore(t, t.TempDir())
	h := p.header("cms")
	h.Name = "lot"
	cfg := issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(serials(10))}
	if _, err := issue.Run(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Header.Assertion, cfg.Header.ExpiresOn = "verified", "30d"
	_, err := issue.Run(context.Background(), cfg)
	var settings *issue.SettingsError
	if !errors.As(err, &settings) || len(settings.Differences) != 2 {
		t.Fatalf("error %v, want a SettingsError with two differences", err)
	}
}

func TestDuplicatesNameBothLinesWhereverTheyStand(t *testing.T) {
	p := newPKI(t, sign.ES256)
	for _, distance := range []int{1, 100, 300, 5000} {
		text := serials(6000)
		lines := strings.SplitAfter(text, "\n")
		lines[10+distance] = lines[10]
		s := openStore(t, t.TempDir())
		cfg := issue.Config{Store: s, Header: p.header("cose"), Signer: p.signer, Devices: rows(strings.Join(lines, ""))}
		_, err := issue.Run(context.Background(), cfg)
		var row *issue.RowError
		if !errors.As(err, &row) || !strings.Contains(err.Error(), "line 11 ") || !strings.Contains(err.Error(), fmt.Sprintf("line %d", 11+distance)) {
			t.Fatalf("distance %d: error %v, want both lines", distance, err)
		}
		cfg.OnError = issue.Skip
		result, err := issue.Run(context.Background(), cfg)
		if err != nil || result.Rejected != 1 || result.Vouchers != 5999 {
			t.Fatalf("distance %d, skipping: %+v, %v", distance, result, err)
		}
	}
}

func TestAStoppedRunContinuesToTheSameBytes(t *testing.T) {
	p := newPKI(t, sign.ES256)
	h := p.header("cms")
	h.Name = "lot"
	text := serials(4000)
	whole := openStore(t, t.TempDir())
	if _, err := issue.Run(context.Background(), issue.Config{Store: whole, Header: h, Signer: p.signer, Devices: rows(text)}); err != nil {
		t.Fatal(err)
	}
	// A bad row in the middle, then the mended list.
	s := openStore(t, t.TempDir())
	lines := strings.SplitAfter(text, "\n")
	good := lines[2000]
	lines[2000] = "\x01\n"
	cfg := issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(strings.Join(lines, ""))}
	result, err := issue.Run(context.Background(), cfg)
	var row *issue.RowError
	if !errors.As(err, &row) || result.Vouchers == 0 || result.Vouchers >= 2000 {
		t.Fatalf("%+v, error %v, want a stop at the row with what precedes it durable", result, err)
	}
	lines[2000] = good
	cfg.Devices = rows(strings.Join(lines, ""))
	if result, err = issue.Run(context.Background(), cfg); err != nil || !result.Resumed || result.Signed >= 4000 {
		t.Fatalf("%+v, %v", result, err)
	}
	a, b := vouchers(t, whole, "lot"), vouchers(t, s, "lot")
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			t.Fatalf("voucher %d differs", i)
		}
	}
	ra, _ := whole.Run("lot")
	rb, _ := s.Run("lot")
	if !bytes.Equal(ra.Final(), rb.Final()) {
		t.Fatal("the manifests differ")
	}
}

func TestAChangedListIsRefusedAtItsFirstDifference(t *testing.T) {
	p := newPKI(t, sign.ES256)
	h := p.header("jws")
	h.Name = "lot"
	lines := strings.SplitAfter(serials(1000), "\n")
	s := openStore(t, t.TempDir())
	broken := append(append([]string{}, lines[:900]...), "\x01\n")
	cfg := issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(strings.Join(broken, ""))}
	if _, err := issue.Run(context.Background(), cfg); err == nil {
		t.Fatal("the bad row passed")
	}
	lines[17] = "OTHER\n"
	cfg.Devices = rows(strings.Join(lines, ""))
	_, err := issue.Run(context.Background(), cfg)
	var changed *issue.ListChangedError
	if !errors.As(err, &changed) || changed.Place != "line 18" {
		t.Fatalf("error %v, want a ListChangedError at line 18", err)
	}
	cfg.Devices = rows(strings.Join(lines[:5], ""))
	if _, err := issue.Run(context.Background(), cfg); !errors.As(err, &changed) {
		t.Fatalf("error %v for a shortened list, want a ListChangedError", err)
	}
}

func TestAListWithoutDevicesLeavesNoRun(t *testing.T) {
	p := newPKI(t, sign.ES256)
	s := openStore(t, t.TempDir())
	_, err := issue.Run(context.Background(), issue.Config{Store: s, Header: p.header("cms"), Signer: p.signer, Devices: rows("serial-number\n")})
	if err == nil {
		t.Fatal("no error")
	}
	if infos, err := s.Runs(); err != nil || len(infos) != 0 {
		t.Fatalf("runs %v, %v, want none", infos, err)
	}
}

func TestVariantsOfPinIssuerAndExpiry(t *testing.T) {
	p := newPKI(t, sign.ES256)
	other := newPKI(t, sign.ES256)
	h := p.header("cms")
	h.Pins = append(h.Pins, run.Pin{Name: "west", Cert: other.domain})
	var b strings.Builder
	b.WriteString("serial-number,pinned-domain-cert,expires-on,idevid-issuer\n")
	for i := range 1000 { // more variants than templates are kept
		fmt.Fprintf(&b, "S%d,%s,%dd,04183016801400112233445566778899AABBCCDDEEFF%08d\n", i, []string{"", "west"}[i%2], 1+i%300, i%3)
	}
	s := openStore(t, t.TempDir())
	result, err := issue.Run(context.Background(), issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(b.String())})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(vouchers(t, s, result.Run)); n != 1000 {
		t.Fatalf("%d vouchers", n)
	}
	r, _ := s.Run(result.Run)
	if ids, _ := r.Variants(); len(ids) != 300 {
		t.Fatalf("%d variants, want 300", len(ids))
	}
}

func TestExpiryBeyondThePinnedCertificateIsRefused(t *testing.T) {
	p := newPKI(t, sign.ES256)
	h := p.header("cms")
	h.ExpiresOn = "20y"
	s := openStore(t, t.TempDir())
	_, err := issue.Run(context.Background(), issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(serials(5))})
	if !errors.Is(err, run.ErrVariant) || !strings.Contains(err.Error(), "2046-") || !strings.Contains(err.Error(), "2036-03-01") {
		t.Fatalf("error %v, want both dates", err)
	}
}

func TestDeltaSignsOnlyNewChangedAndExpiringDevices(t *testing.T) {
	p := newPKI(t, sign.ES256)
	s := openStore(t, t.TempDir())
	h := p.header("cms")
	h.Name = "first"
	text := "serial-number,expires-on\nA,365d\nB,40d\nC,365d\n"
	if _, err := issue.Run(context.Background(), issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(text)}); err != nil {
		t.Fatal(err)
	}
	older, err := issue.OpenDelta(s, "first")
	if err != nil {
		t.Fatal(err)
	}
	h.Name, h.Delta, h.CreatedOn = "second", "first", run.FormatTime(epoch.AddDate(0, 0, 20))
	result, err := issue.Run(context.Background(), issue.Config{Store: s, Header: h, Signer: p.signer, Delta: older,
		Devices: rows("serial-number\nA\nB\nC\nD\n")})
	if err != nil || result.Unchanged != 2 || result.Signed != 2 {
		t.Fatalf("%+v, %v: want A and C unchanged, B (expiring) and D (new) signed", result, err)
	}
	h.Name = "third"
	result, err = issue.Run(context.Background(), issue.Config{Store: s, Header: h, Signer: p.signer, Delta: older,
		Devices: rows("serial-number\nA\nC\n")})
	if err != nil || result.Unchanged != 2 || result.Vouchers != 0 {
		t.Fatalf("%+v, %v: want nothing to sign and no error", result, err)
	}
	if _, err := s.Run("third"); !errors.As(err, new(*store.RunNotFoundError)) {
		t.Fatalf("error %v for the run that had nothing to do, want that it is not there", err)
	}
}

func TestAnAlgorithmThatCannotSignTheManifestIsRefusedBeforehand(t *testing.T) {
	alg, err := sign.ByName("SLH-DSA-SHA2-128f")
	if err != nil {
		t.Fatal(err)
	}
	p := newPKI(t, alg)
	s := openStore(t, t.TempDir())
	_, err = issue.Run(context.Background(), issue.Config{Store: s, Header: p.header("cms"), Signer: p.signer, Devices: rows(serials(1))})
	if err == nil || !strings.Contains(err.Error(), "JOSE") {
		t.Fatalf("error %v, want one about JOSE", err)
	}
	if infos, err := s.Runs(); err != nil || len(infos) != 0 {
		t.Fatalf("runs %v, %v, want none", infos, err)
	}
}

func TestPostQuantumVouchersAreIssuedInEveryFormat(t *testing.T) {
	alg, err := sign.ByName("ML-DSA-44")
	if err != nil {
		t.Fatal(err)
	}
	p := newPKI(t, alg)
	for _, format := range []string{"cms", "jws", "cose"} {
		s := openStore(t, t.TempDir())
		result, err := issue.Run(context.Background(), issue.Config{Store: s, Header: p.header(format), Signer: p.signer, Devices: rows(serials(30))})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(vouchers(t, s, result.Run)); n != 30 {
			t.Fatalf("%s: %d vouchers", format, n)
		}
	}
}

func TestAFullDiskAtAnyMomentTellsWhatIsDurable(t *testing.T) {
	p := newPKI(t, sign.ES256)
	for writes, stopped := int64(3), true; stopped; writes++ { // a later write fails each time, in the end none
		var left atomic.Int64
		left.Store(writes)
		s, err := store.Open(t.TempDir(), store.Options{Create: true, FreeSpace: func(string) (uint64, error) {
			if left.Add(-1) < 0 {
				return 0, nil
			}
			return 1 << 40, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		h := p.header("cms")
		h.Name = "lot"
		result, err := issue.Run(context.Background(), issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(serials(600))})
		stopped = err != nil
		if stopped && !errors.As(err, new(*store.DiskFullError)) {
			t.Fatalf("after %d writes: %v, want a full disk", writes, err)
		}
		if r, err := s.Run("lot"); err == nil {
			if info, err := r.Info(); err != nil || info.Vouchers != result.Vouchers {
				t.Errorf("after %d writes: %d vouchers in the store (%v), the result tells of %d", writes, info.Vouchers, err, result.Vouchers)
			}
		} else if result.Vouchers != 0 {
			t.Errorf("after %d writes: %v, the result tells of %d vouchers", writes, err, result.Vouchers)
		}
		s.Close()
	}
}

func TestADeltaLooksBackOverTheRunsItsRunCompletes(t *testing.T) {
	p := newPKI(t, sign.ES256)
	s := openStore(t, t.TempDir())
	lines := strings.SplitAfter(serials(2000), "\n")
	lists := []string{
		strings.Join(lines, ""),
		strings.Join(append(append([]string{}, lines...), "new-1\n"), ""),
		// Others are gone, the order changes, one more is new.
		strings.Join(append(append([]string{lines[0], "new-2\n", "new-1\n"}, lines[1000:]...), lines[1:500]...), ""),
	}
	want := []uint64{2000, 1, 1}
	h := p.header("cose")
	for i, text := range lists {
		h.Name = fmt.Sprintf("day-%d", i)
		cfg := issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(text)}
		if i > 0 {
			var err error
			cfg.Header.Delta = fmt.Sprintf("day-%d", i-1)
			if cfg.Delta, err = issue.OpenDelta(s, cfg.Header.Delta); err != nil || len(cfg.Delta) != i {
				t.Fatalf("day %d: %d runs, %v", i, len(cfg.Delta), err)
			}
		}
		result, err := issue.Run(context.Background(), cfg)
		if err != nil || result.Signed != want[i] {
			t.Fatalf("day %d: %+v, %v: want %d signed", i, result, err, want[i])
		}
	}
	// What a run that is gone had is signed again.
	if err := s.DeleteRun("day-0"); err != nil {
		t.Fatal(err)
	}
	chain, err := issue.OpenDelta(s, "day-2")
	if err != nil || len(chain) != 2 {
		t.Fatalf("%d runs, %v", len(chain), err)
	}
	h.Name, h.Delta = "day-3", "day-2"
	result, err := issue.Run(context.Background(), issue.Config{Store: s, Header: h, Signer: p.signer, Devices: rows(lists[1]), Delta: chain})
	if err != nil || result.Signed != 2000 || result.Unchanged != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
}
