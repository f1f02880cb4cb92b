package verify_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/export"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// loaded reads a whole bundle into memory.
func loaded(t testing.TB, path string) *memory {
	t.Helper()
	r, err := bundle.Open(path, bundle.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m := &memory{manifest: bytes.Clone(r.Manifest())}
	for {
		var e bundle.Entry
		if err := r.Next(&e); errors.Is(err, io.EOF) {
			return m
		} else if err != nil {
			t.Fatal(err)
		}
		e.Serial, e.Issuer, e.IssuerKeyID, e.Voucher = bytes.Clone(e.Serial), bytes.Clone(e.Issuer), bytes.Clone(e.IssuerKeyID), bytes.Clone(e.Voucher)
		m.entries = append(m.entries, e)
	}
}

func TestTheManifestFindsWhatVouchersAloneDoNotShow(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	const n = 300
	for _, format := range []string{"cms", "jws", "cose"} {
		s := fixture.Store(t)
		h := p.Header(format)
		path := exported(t, p.Issue(t, s, h, fixture.Serials(n)), "b.cborseq", export.Config{})
		h.Name = "other"
		other := loaded(t, exported(t, p.Issue(t, s, h, fixture.Serials(n+1)), "b.cborseq", export.Config{}))
		cases := []struct {
			name, says string
			change     func(m *memory)
		}{
			{"one removed", "299 vouchers, it states 300", func(m *memory) { m.entries = slices.Delete(m.entries, 7, 8) }},
			{"the last removed", "299 vouchers", func(m *memory) { m.entries = m.entries[:n-1] }},
			{"one twice", "301 vouchers", func(m *memory) { m.entries = append(m.entries, m.entries[0]) }},
			{"two exchanged", "root", func(m *memory) { m.entries[0], m.entries[299] = m.entries[299], m.entries[0] }},
			{"one of another run", "root", func(m *memory) { m.entries[0] = other.entries[n] }},
			{"manifest of another run", "it states 301", func(m *memory) { m.manifest = other.manifest }},
		}
		for _, c := range cases {
			m := loaded(t, path)
			c.change(m)
			report, failures := check(t, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.Entries("b", m)}})
			if len(failures) != 1 || failures[0].Check != verify.CheckManifest || failures[0].Place != "b, manifest" ||
				!strings.Contains(failures[0].Reason, c.says) || failures[0].Remedy == "" {
				t.Errorf("%s, %s: %q", format, c.name, failures)
			}
			if report.Failed != 0 || len(report.Manifests) != 1 || report.Manifests[0].Holds {
				t.Errorf("%s, %s: %+v", format, c.name, report)
			}
		}
	}
}

func TestAManifestIsBelievedLikeAVoucher(t *testing.T) {
	p, q := fixture.NewPKI(t, sign.ES256), fixture.NewPKI(t, sign.ES256)
	path := exported(t, p.Issue(t, fixture.Store(t), p.Header("cms"), fixture.Serials(3)), "b.ndjson", export.Config{})
	verdict := func(change func(m *memory)) verify.Failure {
		m := loaded(t, path)
		change(m)
		_, failures := check(t, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.Entries("b", m)}})
		if len(failures) != 1 || failures[0].Check != verify.CheckManifest {
			t.Fatalf("failures %q", failures)
		}
		return failures[0]
	}
	f := verdict(func(m *memory) {
		signed, err := manifest.Parse(m.manifest)
		if err == nil {
			m.manifest, err = manifest.Sign(signed.Manifest, q.Signer, q.Chain)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if !strings.Contains(f.Reason, "not trusted") || !strings.Contains(f.Reason, "no trust anchor") {
		t.Error(&f)
	}
	f = verdict(func(m *memory) {
		at := bytes.LastIndex(m.manifest, []byte(`"signature":"`)) + 20
		if m.manifest[at] == 'A' {
			m.manifest[at] = 'B'
		} else {
			m.manifest[at] = 'A'
		}
	})
	if !strings.Contains(f.Reason, "signature") {
		t.Error(&f)
	}
	verdict(func(m *memory) { m.manifest = []byte("{}") })
	// A voucher that cannot even be read leaves no tree, and says so.
	m := loaded(t, path)
	m.entries[1].Voucher = []byte("junk")
	_, failures := check(t, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.Entries("b", m)}})
	if len(failures) != 2 || failures[0].Check != verify.CheckEnvelope || !strings.Contains(failures[1].Reason, "tree cannot be built") {
		t.Errorf("failures %q", failures)
	}
}

func TestTruncatedBundlesFail(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	r := p.Issue(t, fixture.Store(t), p.Header("jws"), fixture.Serials(20))
	for _, name := range []string{"b.tar", "b.tar.gz", "b.ndjson", "b.cborseq", "b.cborseq.zst"} {
		path := exported(t, r, name, export.Config{})
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// Not the blocks of zeroes that end a tar file.
		for _, size := range []int{len(whole) / 3, len(whole)/2 + 100, len(whole) - 2048} {
			if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
				t.Fatal(err)
			}
			report, failures := check(t, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.File(path, bundle.ReadOptions{})}})
			if report.OK() || len(failures) == 0 {
				t.Errorf("%s cut to %d of %d octets passes", name, size, len(whole))
			}
			if report.Failures[verify.CheckRead] == 0 && report.Failures[verify.CheckManifest] == 0 {
				t.Errorf("%s: %q", name, failures)
			}
		}
	}
}

func TestWhatStandsBesideAVoucherMustAgree(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	m := makerOf(p)
	key := bytes.Repeat([]byte{0xab}, 20)
	v := voucher(p, "SN-1")
	v.IDevIDIssuer = codec.IssuerFromKeyID(key)
	b := m.sealVoucher(t, codec.FormatCMS, v)
	entry := bundle.Entry{Serial: []byte("SN-1"), Issuer: v.IDevIDIssuer, Format: codec.FormatCMS, Voucher: b}
	cfg := verify.Config{Trust: trust(p), Sources: []verify.Source{verify.Entries("b", &memory{entries: []bundle.Entry{entry}})}}
	mustHold(t, cfg, 1)
	for says, change := range map[string]func(*bundle.Entry){
		"serial number": func(e *bundle.Entry) { e.Serial = []byte("SN-2") },
		"is cms":        func(e *bundle.Entry) { e.Format = codec.FormatJWS },
		"issuer":        func(e *bundle.Entry) { e.Issuer = codec.IssuerFromKeyID(key[1:]) },
		"under issuer":  func(e *bundle.Entry) { e.Issuer, e.IssuerKeyID = nil, key[1:] },
	} {
		e := entry
		change(&e)
		cfg.Sources = []verify.Source{verify.Entries("b", &memory{entries: []bundle.Entry{e}})}
		_, failures := check(t, cfg)
		if len(failures) != 1 || failures[0].Check != verify.CheckEntry || !strings.Contains(failures[0].Reason, says) {
			t.Errorf("%s: %q", says, failures)
		}
	}
}

func TestFilesMayBeCalledAnythingButInOurBundles(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	b := makerOf(p).sealVoucher(t, codec.FormatCMS, voucher(p, "SN-1"))
	dir := t.TempDir()
	for _, name := range []string{"first.vcj", "second", "third.der"} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lone := filepath.Join(dir, "first.vcj")
	report := mustHold(t, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.File(dir, bundle.ReadOptions{}), verify.File(lone, bundle.ReadOptions{})}}, 4)
	if len(report.Notes) != 0 {
		t.Errorf("notes about what loose vouchers do not have: %q", report.Notes)
	}
	r := p.Issue(t, fixture.Store(t), p.Header("cms"), fixture.Serials(3))
	bundled := exported(t, r, "run/", export.Config{})
	mustHold(t, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.File(bundled, bundle.ReadOptions{})}}, 3)
	first, second := filepath.Join(bundled, "SN-000000.vcj"), filepath.Join(bundled, "SN-000001.vcj")
	swap := filepath.Join(bundled, "swap")
	for _, move := range [][2]string{{first, swap}, {second, first}, {swap, second}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	report, _ = check(t, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.File(bundled, bundle.ReadOptions{})}})
	if report.Failures[verify.CheckEntry] != 2 || report.Failures[verify.CheckManifest] != 1 {
		t.Errorf("report %+v", report)
	}
}
