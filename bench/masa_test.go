package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// callers is how many registrars ask a MASA at a time.
const callers = 64

// masaOps are the public-key operations of one request to a MASA: signatures of
// the registrar's request, of its certificate, of the device's request and of
// its IDevID verified, a voucher signed.
func masaOps(t testing.TB) *publicKeyOps { return newPublicKeyOps(t, 4, 1, 0, runtime.GOMAXPROCS(0)) }

// BenchmarkMASA answers requests for vouchers without a network, 64 at a time, an
// iteration each: the decision, two signatures verified and one made in the
// request's own name, the IDevID's chain, and a transaction on disk. Requests
// are made beforehand, for as many devices. batch=shared goes through package
// sigpool, batch=one signs and verifies each by itself; sig/batch is how many
// checks shared a batch. ns-cpu/ops is what the request's public-key operations
// take crypto/ecdsa.
func BenchmarkMASA(b *testing.B) {
	for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
		b.Run("env="+format.String(), func(b *testing.B) {
			for _, impl := range []string{"wide", "portable", "std"} {
				for _, batch := range []string{"shared", "one"} {
					b.Run(fmt.Sprintf("impl=%s/batch=%s", impl, batch), func(b *testing.B) { benchMASA(b, format, impl, batch) })
				}
			}
		})
	}
}

func benchMASA(b *testing.B, format codec.Format, impl, batch string) {
	o := newOnboarding(b, 512)
	if !slices.Contains(sign.Implementations(sign.ES256, o.vouchers.key), impl) {
		b.Skipf("%s does not run on this machine", impl)
	}
	var verifier artefact.Verifier
	var signer artefact.Signer
	if batch == "shared" {
		checks, signatures := pools(b, o.vouchers.key, impl)
		verifier, signer = checks, signatures
		defer func() {
			stats := checks.Stats()
			b.ReportMetric(float64(stats.Items)/float64(stats.Batches), "sig/batch")
		}()
	} else {
		verifier = artefact.Verifying(must(sign.NewVerifier(sign.VerifierOptions{Impl: verifierOf(impl)}))(b))
		signer = o.signer(b, o.vouchers.key, impl)
	}
	db := must(state.Open(b.TempDir(), state.Options{Create: true}))(b)
	defer db.Close()
	service := o.serve(b, db, verifier, signer)
	ops := masaOps(b)
	var served, base time.Duration
	requests, rounds := 0, 0
	askAll(b, o, service, format, o.requests(b, format)) // fills the caches
	for b.Loop() {
		b.StopTimer()
		bodies := o.requests(b, format)
		base += ops.measure(b)
		rounds++
		runtime.GC()
		b.StartTimer()
		before := CPUTime()
		askAll(b, o, service, format, bodies)
		served += CPUTime() - before
		requests += len(bodies)
	}
	b.ReportMetric(float64(requests)/b.Elapsed().Seconds(), "requests/s")
	ReportCPU(b, served, float64(requests), "request")
	ReportCPU(b, base, float64(rounds), "ops")
}

// askAll asks for all vouchers.
func askAll(b *testing.B, o *onboarding, service *masa.Service, format codec.Format, bodies [][]byte) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(bodies); i = int(next.Add(1)) - 1 {
				if _, err := service.RequestVoucher(context.Background(), &exchange.Request{ID: "bench", Now: o.now, ContentType: format.MediaType(), Body: bodies[i]}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
