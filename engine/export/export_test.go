package export_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/export"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// names are one path for each form.
var names = []string{"b.tar", "b.tar.gz", "b.ndjson.zst", "b.cborseq", "b/"}

func target(t testing.TB, name string) string {
	return t.TempDir() + string(filepath.Separator) + name
}

func mustExport(t testing.TB, cfg export.Config) *export.Result {
	t.Helper()
	result, err := export.Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// read returns all of a bundle.
func read(t testing.TB, path string) ([]bundle.Entry, []byte) {
	t.Helper()
	r, err := bundle.Open(path, bundle.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []bundle.Entry
	for {
		var e bundle.Entry
		if err := r.Next(&e); errors.Is(err, io.EOF) {
			return all, bytes.Clone(r.Manifest())
		} else if err != nil {
			t.Fatal(err)
		}
		e.Serial, e.Issuer, e.IssuerKeyID, e.Voucher = bytes.Clone(e.Serial), bytes.Clone(e.Issuer), bytes.Clone(e.IssuerKeyID), bytes.Clone(e.Voucher)
		all = append(all, e)
	}
}

// stored rebuilds every voucher of a run, in run order.
func stored(t testing.TB, r *run.Reader) (list []bundle.Entry) {
	t.Helper()
	for view, err := range r.Run.Pages(0) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range view.Count() {
			v, err := r.Variant(view.Variant(i))
			if err != nil {
				t.Fatal(err)
			}
			b, err := r.Voucher(run.Found{Hit: store.Hit{Run: r.Run, Serial: view.Serial(i), Signature: view.Signature(i)}, StoredVariant: v})
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, bundle.Entry{Serial: bytes.Clone(view.Serial(i)), Voucher: b})
		}
	}
	return list
}

// mustBeEmpty fails the test if anything is left in a directory.
func mustBeEmpty(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		t.Errorf("%s is left behind", f.Name())
	}
}

func TestABundleHasTheRunsVouchersInRunOrder(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	for _, format := range []string{"cms", "jws", "cose"} {
		r := p.Issue(t, fixture.Store(t), p.Header(format), fixture.Serials(300))
		want := stored(t, r)
		for _, name := range names {
			path := target(t, name)
			result := mustExport(t, export.Config{Run: r, Path: path, Workers: 3})
			if *result != (export.Result{Run: "lot-7", Vouchers: 300, Manifest: true}) {
				t.Errorf("%s: result %+v", name, result)
			}
			got, signed := read(t, path)
			if !bytes.Equal(signed, r.Run.Final()) {
				t.Errorf("%s: manifest differs", name)
			}
			if !slices.EqualFunc(got, want, func(a, b bundle.Entry) bool {
				return bytes.Equal(a.Serial, b.Serial) && bytes.Equal(a.Voucher, b.Voucher) && a.Format.String() == format
			}) {
				t.Errorf("%s, %s: other vouchers than in the store, or in another order", format, name)
			}
		}
	}
}

func TestABundlesBytesDependOnTheRunAlone(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	r := p.Issue(t, fixture.Store(t), p.Header("cose"), fixture.Serials(700))
	for _, name := range names[:4] {
		var first []byte
		for workers := 1; workers <= 3; workers++ {
			path := target(t, name)
			mustExport(t, export.Config{Run: r, Path: path, Workers: workers})
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if workers == 1 {
				first = b
			} else if !bytes.Equal(first, b) {
				t.Errorf("%s: %d workers make other bytes", name, workers)
			}
		}
	}
	var stream bytes.Buffer
	mustExport(t, export.Config{Run: r, Path: "standard output", Stream: &stream, Bundle: bundle.Options{Kind: bundle.KindTar}})
	path := target(t, "b.tar")
	mustExport(t, export.Config{Run: r, Path: path})
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, stream.Bytes()) {
		t.Errorf("a stream has other bytes than a file: %v", err)
	}
}

func TestForPledgeOnlyCOSELosesItsCertificates(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	for _, format := range []string{"cms", "jws", "cose"} {
		r := p.Issue(t, fixture.Store(t), p.Header(format), fixture.Serials(3))
		path := target(t, "b.cborseq")
		mustExport(t, export.Config{Run: r, Path: path, ForPledge: true})
		got, signed := read(t, path)
		if signed == nil {
			t.Error("the manifest is of use without certificates too")
		}
		for i, e := range stored(t, r) {
			want := e.Voucher
			if format == "cose" {
				var err error
				if want, err = codec.StripCertificates(nil, e.Voucher); err != nil || len(want) == len(e.Voucher) {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got[i].Voucher, want) {
				t.Errorf("%s: voucher %d differs", format, i)
			}
		}
	}
}

func TestNamesCarryTheIssuerWhereTwoShareASerialNumber(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	a, b := strings.Repeat("aa", 20), strings.Repeat("bb", 20)
	csv := "serial-number,idevid-issuer\nonly-a," + a + "\nboth," + a + "\nboth," + b + "\nonly-b," + b + "\nbare,\nbare," + a + "\n"
	for i := range 300 { // the two may be pages apart
		csv += fmt.Sprintf("filler-%d,%s\n", i, a)
	}
	csv += "only-a2," + a + "\nfar," + a + "\nonly-a," + b + "\n"
	r := p.Issue(t, fixture.Store(t), p.Header("jws"), csv)
	dir := target(t, "b/")
	result := mustExport(t, export.Config{Run: r, Path: dir})
	if result.Shared != 5 || result.Vouchers != 309 {
		t.Errorf("result %+v", result)
	}
	for _, name := range []string{"only-a~" + a, "both~" + a, "both~" + b, "only-b", "bare", "bare~" + a, "filler-7", "far", "only-a~" + b} {
		if _, err := os.Stat(filepath.Join(dir, name+".vjj")); err != nil {
			t.Error(err)
		}
	}
	// Where entries have no file names, none is changed.
	if result := mustExport(t, export.Config{Run: r, Path: target(t, "b.ndjson")}); result.Shared != 0 {
		t.Errorf("result %+v", result)
	}
}

func TestTheIssuerStandsBesideVouchersThatCarryIt(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	for _, include := range []bool{true, false} {
		h := p.Header("cms")
		h.Issuer, h.IncludeIssuer = codec.IssuerFromKeyID(bytes.Repeat([]byte{0xaa}, 20)), include
		path := target(t, "b.ndjson")
		mustExport(t, export.Config{Run: p.Issue(t, fixture.Store(t), h, "serial-number\nA\n"), Path: path})
		got, _ := read(t, path)
		if (got[0].Issuer != nil) != include || include && !bytes.Equal(got[0].Issuer, h.Issuer) {
			t.Errorf("include-issuer %v: %x", include, got[0].Issuer)
		}
	}
}

func TestAnUnfinishedRunIsExportedOnRequestOnly(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	r := p.IssuePart(t, fixture.Store(t), p.Header("cms"), fixture.Serials(300))
	path := target(t, "b.tar")
	if _, err := export.Run(context.Background(), export.Config{Run: r, Path: path}); !errors.Is(err, export.ErrUnfinished) {
		t.Error(err)
	}
	mustBeEmpty(t, filepath.Dir(path))
	result := mustExport(t, export.Config{Run: r, Path: path, Unfinished: true})
	got, signed := read(t, path)
	if signed != nil || result.Manifest || len(got) != 256 || result.Vouchers != 256 {
		t.Errorf("%d entries, manifest %q, result %+v", len(got), signed, result)
	}
}

func TestDamageIsNamedAndNeverExported(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	signature := func(t *testing.T, octets []byte) int {
		list := bytes.Index(octets, []byte("SN-"))
		return list + 12*250 // serials are nine octets and a length: this is behind them
	}
	cases := []struct {
		name, says string
		change     func(t *testing.T, number uint32, octets []byte) []byte
	}{
		{"a bit", "page 1", func(t *testing.T, number uint32, octets []byte) []byte {
			if number == 1 {
				octets[1000] ^= 1
			}
			return octets
		}},
		{"a signature", "Merkle", func(t *testing.T, number uint32, octets []byte) []byte {
			if number == 1 {
				octets[signature(t, octets)] ^= 1
				octets = fixture.Seal(octets)
			}
			return octets
		}},
		{"a serial number", "Merkle", func(t *testing.T, number uint32, octets []byte) []byte {
			if number == 0 {
				octets = fixture.Seal(bytes.Replace(octets, []byte("SN-000000"), []byte("SN-900000"), 1))
			}
			return octets
		}},
		{"a page", "missing", func(t *testing.T, number uint32, octets []byte) []byte {
			if number == 1 {
				return nil
			}
			return octets
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			s := fixture.StoreAt(t, dir)
			p.Issue(t, s, p.Header("cose"), fixture.Serials(600))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			fixture.Tamper(t, dir, func(number uint32, octets []byte) []byte { return c.change(t, number, octets) })
			r := fixture.Reader(t, fixture.StoreAt(t, dir), "lot-7")
			for _, name := range names {
				path := target(t, name)
				_, err := export.Run(context.Background(), export.Config{Run: r, Path: path})
				var damage *store.DamageError
				if !errors.As(err, &damage) || !strings.Contains(err.Error(), c.says) || strings.HasPrefix(err.Error(), "engine") {
					t.Errorf("%s: %v", name, err)
				}
				mustBeEmpty(t, filepath.Dir(filepath.Clean(path)))
			}
		})
	}
}

func TestNothingHalfWrittenIsLeft(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	r := p.Issue(t, fixture.Store(t), p.Header("cms"), fixture.Serials(3000))
	for _, name := range names {
		path := target(t, name)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		var stop *engine.StopError
		if _, err := export.Run(ctx, export.Config{Run: r, Path: path}); !errors.As(err, &stop) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		mustBeEmpty(t, filepath.Dir(filepath.Clean(path)))
		// In the middle, whenever that is.
		ctx, cancel = context.WithCancel(context.Background())
		timer := time.AfterFunc(5*time.Millisecond, cancel)
		if _, err := export.Run(ctx, export.Config{Run: r, Path: path}); err != nil {
			mustBeEmpty(t, filepath.Dir(filepath.Clean(path)))
		} else if entries, _ := read(t, path); len(entries) != 3000 {
			t.Errorf("%s: no error, and %d vouchers", name, len(entries))
		}
		timer.Stop()
		cancel()
	}
}

// full is a stream that takes so many octets.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestFailuresOfTheTargetAreTold(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	r := p.Issue(t, fixture.Store(t), p.Header("cms"), fixture.Serials(3000))
	_, err := export.Run(context.Background(), export.Config{Run: r, Path: "out", Stream: &full{1 << 20}, Bundle: bundle.Options{Kind: bundle.KindTar}})
	var failure *bundle.Error
	if !errors.As(err, &failure) || !strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
	path := target(t, "b.ndjson")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := export.Run(context.Background(), export.Config{Run: r, Path: path}); !errors.Is(err, bundle.ErrExists) {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("the file that was there holds %.20q, %v", b, err)
	}
	mustExport(t, export.Config{Run: r, Path: path, Bundle: bundle.Options{Replace: true}})
	if _, err := export.Run(context.Background(), export.Config{Run: r, Path: "b.zip"}); !errors.Is(err, bundle.ErrKind) {
		t.Error(err)
	}
}

func TestAManifestThatIsNotTheRunsIsDamage(t *testing.T) {
	p, q := fixture.NewPKI(t, sign.ES256), fixture.NewPKI(t, sign.ES256)
	s := fixture.Store(t)
	rows := fixture.Serials(257)
	first := p.Issue(t, s, p.Header("cose"), rows[:strings.LastIndex(rows[:len(rows)-1], "\n")+1])
	signed, err := manifest.Parse(first.Run.Final())
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, says string
		signer     *fixture.PKI
		change     func(m *manifest.Manifest)
	}{
		{"control", "", p, func(*manifest.Manifest) {}},
		{"stranger", "another certificate", q, func(*manifest.Manifest) {}},
		{"tree", "root", p, func(m *manifest.Manifest) { m.TreeRoot[0] ^= 1 }},
		{"count", "257", p, func(m *manifest.Manifest) { m.Count++ }},
		{"template", "template", p, func(m *manifest.Manifest) { m.Templates = []manifest.Template{{}} }},
		{"templates", "there are 1", p, func(m *manifest.Manifest) { m.Templates = append(m.Templates, manifest.Template{}) }},
		{"run", "lot-8", p, func(m *manifest.Manifest) { m.Run = "lot-8" }},
	}
	for _, c := range cases {
		m := *signed.Manifest
		m.Run = c.name
		c.change(&m)
		final, err := manifest.Sign(&m, c.signer.Signer, c.signer.Chain)
		if err != nil {
			t.Fatal(err)
		}
		h := p.Header("cose")
		h.Name = c.name
		a, err := p.IssuePart(t, s, h, rows).Run.Appender()
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Finish(final); err != nil {
			t.Fatal(err)
		}
		path := target(t, "b.tar")
		_, err = export.Run(context.Background(), export.Config{Run: fixture.Reader(t, s, c.name), Path: path})
		if c.says == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		var damage *store.DamageError
		if !errors.As(err, &damage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		mustBeEmpty(t, filepath.Dir(path))
	}
}
