package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

func TestNobodyToBelieveIsAnError(t *testing.T) {
	if _, err := verify.Run(context.Background(), verify.Config{}); !errors.Is(err, verify.ErrNoAnchor) {
		t.Error(err)
	}
}

func TestSourcesThatCannotBeReadFailAndTheOthersAreChecked(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	b := makerOf(p).sealVoucher(t, codec.FormatCMS, voucher(p, "SN-1"))
	missing, empty := filepath.Join(t.TempDir(), "missing"), t.TempDir()
	breaks := &memory{entries: []bundle.Entry{{Voucher: b}}, end: errors.New("line 2: the disk is on fire")}
	report, failures := check(t, verify.Config{Trust: trust(p), Sources: []verify.Source{
		verify.File(missing, bundle.ReadOptions{}), vouchers(b), verify.File(empty, bundle.ReadOptions{}), verify.Entries("breaks", breaks)}})
	var places []string
	for _, f := range failures {
		if f.Check != verify.CheckRead {
			t.Error(&f)
		}
		places = append(places, f.Place)
	}
	if !slices.Equal(places, []string{missing, empty, "breaks"}) || report.Sources != 4 || report.Passed != 2 || report.OK() {
		t.Errorf("places %q, report %+v", places, report)
	}
	report, _ = check(t, verify.Config{Trust: trust(p)})
	if report.OK() {
		t.Error("nothing at all is no success")
	}
}

func TestAnErrorOfTheCallersEndsTheVerification(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	enough := errors.New("enough")
	calls := 0
	_, err := verify.Run(context.Background(), verify.Config{Trust: trust(p), Sources: []verify.Source{vouchers([]byte("x"), []byte("y"))},
		Failed: func(*verify.Failure) error { calls++; return enough }})
	if !errors.Is(err, enough) || calls != 1 || err.Error() != "enough" {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestCancellingStopsAndReportsHowFarItCame(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	ctx, cancel := context.WithCancel(context.Background())
	endless := &endless{voucher: makerOf(p).sealVoucher(t, codec.FormatCOSE, voucher(p, "SN-1")), after: 3000, then: cancel}
	report, err := verify.Run(ctx, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.Entries("endless", endless)}})
	var stop *engine.StopError
	if !errors.As(err, &stop) || !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if report.Passed == 0 || report.Passed != report.Vouchers || report.Failed != 0 {
		t.Errorf("report %+v", report)
	}
}

// endless yields one voucher again and again.
type endless struct {
	voucher []byte
	after   int
	then    func()
}

func (e *endless) Manifest() []byte { return nil }

func (e *endless) Next(entry *bundle.Entry) error {
	if e.after--; e.after == 0 {
		e.then()
	}
	*entry = bundle.Entry{Voucher: e.voucher}
	return nil
}

func TestTheReportDoesNotDependOnTheNumberOfWorkers(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	var list [][]byte
	for i := range 900 {
		b := m.sealVoucher(t, formats[i%3], voucher(p, fmt.Sprintf("SN-%d", i)))
		if i%7 == 0 {
			b[len(b)/2] ^= 1
		}
		list = append(list, b)
	}
	var first []verify.Failure
	var report *verify.Report
	for _, workers := range []int{1, 2, 5} {
		r, failures := check(t, verify.Config{Trust: trust(p), Workers: workers, Sources: []verify.Source{vouchers(list...), vouchers(list[0]), vouchers(list[1:]...)}})
		if report == nil {
			first, report = failures, r
		}
		if !reflect.DeepEqual(first, failures) || !reflect.DeepEqual(report, r) {
			t.Errorf("%d workers: other failures or another report", workers)
		}
	}
	if report.Failed == 0 || report.Vouchers != 1800 {
		t.Errorf("report %+v", report)
	}
}

func TestTheReportsJSONIsStable(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	report, failures := check(t, verify.Config{Trust: trust(p), Sources: []verify.Source{vouchers([]byte("x"))}})
	got, err := json.Marshal(map[string]any{"report": report, "failure": failures[0]})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"failure":{"place":"memory, entry 0","check":"envelope","reason":"octet 0: starts like none of the envelopes: ...","remedy":"inspect shows what it holds"},` +
		`"report":{"at":"2026-04-01T12:00:00Z","sources":1,"vouchers":1,"passed":0,"failed":1,"missing":0,"formats":{},` +
		`"checks":["read","envelope","algorithm","chain","signature","payload","rules","time","entry"],"failures":{"envelope":1},` +
		`"notes":["memory has no manifest: vouchers may have been left out, added or exchanged for older ones"]}}`
	type document struct{ Failure, Report map[string]any }
	var a, b document
	if err := errors.Join(json.Unmarshal(got, &a), json.Unmarshal([]byte(want), &b)); err != nil {
		t.Fatal(err)
	}
	a.Failure["reason"], b.Failure["reason"] = "", ""
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s", got)
	}
}

func TestLoneFilesOfAllFormatsAreRead(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	var sources []verify.Source
	for _, format := range formats {
		path := filepath.Join(t.TempDir(), "voucher"+format.Extension())
		if err := os.WriteFile(path, makerOf(p).sealVoucher(t, format, voucher(p, "SN-1")), 0o600); err != nil {
			t.Fatal(err)
		}
		sources = append(sources, verify.File(path, bundle.ReadOptions{}))
	}
	mustHold(t, verify.Config{Trust: trust(p), Sources: sources}, 3)
}

func TestFailuresPrintNothingThatATerminalObeys(t *testing.T) {
	f := verify.Failure{Place: "b.tar, member \x1b[2J\n", Serial: "a\u009b", Check: verify.CheckRead, Reason: "\a\r"}
	if got, want := f.Error(), "b.tar, member \ufffd[2J\ufffd, serial number \"a\\u009b\": read: \ufffd\ufffd"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMoreVouchersTakeNoMoreMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("verifies 50,000 vouchers")
	}
	p := fixture.NewPKI(t, sign.ES256)
	for _, format := range formats {
		b := makerOf(p).sealVoucher(t, format, voucher(p, "SN-1"))
		verified := func(n int) float64 {
			list := make([]bundle.Entry, n)
			for i := range list {
				list[i] = bundle.Entry{Place: "entry", Voucher: b}
			}
			return testing.AllocsPerRun(1, func() {
				report, err := verify.Run(context.Background(), verify.Config{Trust: trust(p), Workers: 1,
					Sources: []verify.Source{verify.Entries("entry", &memory{entries: list})}})
				if err != nil || report.Passed != uint64(n) {
					t.Error(report, err)
				}
			})
		}
		const few, many = 2048, 6144 // the first ones fill caches and buffers
		each := (verified(many) - verified(few)) / (many - few)
		if own := each - signatureAllocs(t, p); own > 0.3 {
			t.Errorf("%v: %.2f allocations for each further voucher, besides those of its signature", format, own)
		}
	}
}

// signatureAllocs is how often the verifier that is used here allocates for a
// signature.
func signatureAllocs(t testing.TB, p *fixture.PKI) float64 {
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.PreparePublicKey(p.Signer.Algorithm(), p.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	items := make([]sign.VerifyItem, 256)
	digest, signature := make([]byte, 32), make([]byte, 64)
	if err := p.Signer.SignBatch(signature, [][]byte{digest}); err != nil {
		t.Fatal(err)
	}
	for i := range items {
		items[i] = sign.VerifyItem{Key: key, Input: digest, Signature: signature}
	}
	return testing.AllocsPerRun(4, func() {
		if err := verifier.VerifyBatch(items); err != nil {
			t.Error(err)
		}
	}) / float64(len(items))
}
