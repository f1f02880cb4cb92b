package verify_test

import (
	"context"
	"crypto/x509"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/export"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// at is when the vouchers of the fixture are checked, unless a test says
// otherwise.
var at = fixture.Epoch.AddDate(0, 1, 0)

func trust(p *fixture.PKI) verify.Trust {
	return verify.Trust{Anchors: []*x509.Certificate{p.CA}, At: at}
}

// check verifies and returns report and failures.
func check(t testing.TB, cfg verify.Config) (*verify.Report, []verify.Failure) {
	t.Helper()
	var failures []verify.Failure
	cfg.Failed = func(f *verify.Failure) error {
		if f.Place == "" || f.Reason == "" || f.Check.Holds() == "" {
			t.Errorf("a failure without place, known check or reason: %+v", f)
		}
		failures = append(failures, *f)
		return nil
	}
	report, err := verify.Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if report.Passed+report.Failed != report.Vouchers {
		t.Errorf("%d passed and %d failed of %d", report.Passed, report.Failed, report.Vouchers)
	}
	total := uint64(0)
	for _, n := range report.Failures {
		total += n
	}
	if total != uint64(len(failures)) || report.OK() && total > 0 {
		t.Errorf("%d failures reported, %d counted, OK %v", len(failures), total, report.OK())
	}
	return report, failures
}

// mustHold fails the test unless everything holds.
func mustHold(t testing.TB, cfg verify.Config, vouchers uint64) *verify.Report {
	t.Helper()
	report, failures := check(t, cfg)
	for i := range failures {
		t.Error(&failures[i])
	}
	if !report.OK() || report.Passed != vouchers {
		t.Errorf("%d of %d vouchers passed, want %d", report.Passed, report.Vouchers, vouchers)
	}
	return report
}

func exported(t testing.TB, r *run.Reader, name string, cfg export.Config) string {
	t.Helper()
	cfg.Run, cfg.Path = r, t.TempDir()+string(filepath.Separator)+name
	if _, err := export.Run(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg.Path
}

func TestEveryFormatHoldsFromStoreAndFromBundles(t *testing.T) {
	algs := []*sign.Algorithm{sign.ES256, sign.Ed25519, sign.MLDSA44, sign.ES384, sign.Ed448}
	if testing.Short() {
		algs = algs[:2]
	}
	for _, alg := range algs {
		p := fixture.NewPKI(t, alg)
		for _, format := range []string{"cms", "jws", "cose"} {
			t.Run(alg.Name+"/"+format, func(t *testing.T) {
				const n = 300
				r := p.Issue(t, fixture.Store(t), p.Header(format), fixture.Serials(n))
				sources := []verify.Source{verify.StoredRun(r)}
				for _, name := range []string{"b.tar", "b.ndjson.gz", "b.cborseq.zst"} {
					sources = append(sources, verify.File(exported(t, r, name, export.Config{}), bundle.ReadOptions{}))
				}
				report := mustHold(t, verify.Config{Sources: sources, Trust: trust(p), Workers: 3}, 4*n)
				if report.Sources != 4 || report.Formats[format] != 4*n || len(report.Manifests) != 4 {
					t.Errorf("report %+v", report)
				}
				for _, m := range report.Manifests {
					if !m.Holds || m.Run != "lot-7" || m.Count != n || m.Root != report.Manifests[0].Root {
						t.Errorf("manifest %+v", m)
					}
				}
				want := []verify.Check{verify.CheckRead, verify.CheckPage, verify.CheckEnvelope, verify.CheckAlgorithm, verify.CheckChain}
				if !slices.Equal(report.Checks[:5], want) || slices.Contains(report.Checks, verify.CheckDigest) != (format == "cms") {
					t.Errorf("checks %v", report.Checks)
				}
			})
		}
	}
}
