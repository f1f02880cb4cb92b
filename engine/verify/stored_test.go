package verify_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// tampered issues a run of three pages, has its pages changed and verifies it.
func tampered(t *testing.T, change func(r *run.Reader, number uint32, octets []byte) []byte) (*verify.Report, []verify.Failure) {
	t.Helper()
	p := fixture.NewPKI(t, sign.ES256)
	dir := filepath.Join(t.TempDir(), "store")
	s := fixture.StoreAt(t, dir)
	r := p.Issue(t, s, p.Header("cose"), fixture.Serials(600))
	rebuilder, err := r.NewRebuilder() // the pins and templates need the store open
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Run.Page(0, nil)
	if err != nil || rebuilder.Page(0, b) != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fixture.Tamper(t, dir, func(number uint32, octets []byte) []byte { return change(r, number, octets) })
	return check(t, verify.Config{Trust: trust(p), Workers: 2,
		Sources: []verify.Source{verify.StoredRun(fixture.Reader(t, fixture.StoreAt(t, dir), "lot-7"))}})
}

// firstSignature is where the signatures of a page begin.
func firstSignature(t testing.TB, octets []byte) int {
	t.Helper()
	var v page.View
	if err := v.Parse(octets); err != nil {
		t.Fatal(err)
	}
	return bytes.Index(octets, v.Signature(0))
}

func summary(failures []verify.Failure) []string {
	var list []string
	for _, f := range failures {
		list = append(list, fmt.Sprintf("%s at %s", f.Check, f.Place))
	}
	return list
}

func TestDamagedPagesAreNamedAndTheRestIsChecked(t *testing.T) {
	report, failures := tampered(t, func(_ *run.Reader, number uint32, octets []byte) []byte {
		switch number {
		case 1:
			octets[len(octets)/2] ^= 4
		case 2:
			return nil
		}
		return octets
	})
	want := []string{"page at run lot-7, page 1", "page at run lot-7, page 2", "manifest at run lot-7, manifest"}
	if got := summary(failures); !slices.Equal(got, want) {
		t.Errorf("failures %q, want %q", got, want)
	}
	if report.Passed != 256 || !strings.Contains(failures[0].Reason, "checksum") || !strings.Contains(failures[1].Reason, "missing") || failures[0].Remedy == "" {
		t.Errorf("report %+v, %v", report, failures)
	}
}

func TestAnAlteredSignatureIsNamedByPageVoucherAndLine(t *testing.T) {
	report, failures := tampered(t, func(_ *run.Reader, number uint32, octets []byte) []byte {
		if number == 1 {
			octets[firstSignature(t, octets)+3*64] ^= 1
			octets = fixture.Seal(octets)
		}
		return octets
	})
	want := []string{"page at run lot-7, page 1", "signature at run lot-7, page 1, voucher 3 (line 261 of the device list)", "manifest at run lot-7, manifest"}
	if got := summary(failures); !slices.Equal(got, want) {
		t.Errorf("failures %q, want %q", got, want)
	}
	if report.Passed != 599 || failures[1].Serial == "" {
		t.Errorf("report %+v, %v", report, failures)
	}
}

func TestASerialNumberAlteredThroughAndThroughFails(t *testing.T) {
	_, failures := tampered(t, func(r *run.Reader, number uint32, octets []byte) []byte {
		if number != 0 {
			return octets
		}
		octets = fixture.Seal(replace(t, octets, []byte("SN-000000"), []byte("SN-900000")))
		// The nodes made to fit as well, as one does who knows the format.
		b, err := r.NewRebuilder()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Page(0, octets); err != nil {
			t.Fatal(err)
		}
		var nodes, stored merkle.Range
		_ = b.Range(&nodes) // says that the nodes differ, which is the point
		b.View().Range(&stored)
		for i := range nodes.Nodes {
			octets = replace(t, octets, stored.Nodes[i][:], nodes.Nodes[i][:])
		}
		return fixture.Seal(octets)
	})
	want := []string{"signature at run lot-7, page 0, voucher 0 (line 2 of the device list)", "manifest at run lot-7, manifest"}
	if got := summary(failures); !slices.Equal(got, want) {
		t.Errorf("failures %q, want %q", got, want)
	}
}

func TestPagesInAnotherOrderFail(t *testing.T) {
	var pages [2][]byte
	_, failures := tampered(t, func(r *run.Reader, number uint32, octets []byte) []byte {
		if number > 1 {
			return octets
		}
		pages[number] = octets
		if pages[0] == nil || pages[1] == nil {
			return octets // the second of the two to come does it
		}
		return pages[1-number]
	})
	// Page 0 twice or page 1 twice: either way one is out of place.
	if !slices.ContainsFunc(failures, func(f verify.Failure) bool {
		return f.Check == verify.CheckPage && strings.Contains(f.Reason, "begins at voucher")
	}) {
		t.Errorf("failures %q", summary(failures))
	}
}

func TestAnUnfinishedRunIsVerifiedAsFarAsItIs(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	r := p.IssuePart(t, fixture.Store(t), p.Header("cms"), fixture.Serials(600))
	report := mustHold(t, verify.Config{Trust: trust(p), Sources: []verify.Source{verify.StoredRun(r)}}, 512)
	if len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "unfinished") || slices.Contains(report.Checks, verify.CheckManifest) {
		t.Errorf("report %+v", report)
	}
}

func TestAStoredManifestMustBeTheRuns(t *testing.T) {
	p := fixture.NewPKI(t, sign.ES256)
	s := fixture.Store(t)
	rows := fixture.Serials(257)
	signed, err := manifest.Parse(p.Issue(t, s, p.Header("cose"), rows[:strings.LastIndex(rows[:len(rows)-1], "\n")+1]).Run.Final())
	if err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(m *manifest.Manifest){
		"":           func(*manifest.Manifest) {},
		"run is":     func(m *manifest.Manifest) { m.Run = "lot-8" },
		"format":     func(m *manifest.Manifest) { m.Format = "jws" },
		"algorithm":  func(m *manifest.Manifest) { m.Algorithm = "ES384" },
		"created-on": func(m *manifest.Manifest) { m.CreatedOn = m.CreatedOn.AddDate(0, 0, 1) },
		"templates":  func(m *manifest.Manifest) { m.Templates = []manifest.Template{{}} },
		"states 257": func(m *manifest.Manifest) { m.Count++ },
		"root":       func(m *manifest.Manifest) { m.TreeRoot[0] ^= 1 },
	} {
		h := p.Header("cose")
		h.Name = "run" + strings.ReplaceAll(says, " ", "-")
		m := *signed.Manifest
		m.Run = h.Name
		change(&m)
		final, err := manifest.Sign(&m, p.Signer, p.Chain)
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.IssuePart(t, s, h, rows).Run.Appender()
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Finish(final); err != nil {
			t.Fatal(err)
		}
		cfg := verify.Config{Trust: trust(p), Sources: []verify.Source{verify.StoredRun(fixture.Reader(t, s, h.Name))}}
		if says == "" {
			mustHold(t, cfg, 256)
			continue
		}
		_, failures := check(t, cfg)
		if len(failures) != 1 || failures[0].Check != verify.CheckManifest || !strings.Contains(failures[0].Reason, says) {
			t.Errorf("%s: %q", says, failures)
		}
	}
}
