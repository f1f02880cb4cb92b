//go:build unix

package masa_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/sigpool"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// BenchmarkRequestVoucher is a request of a known registrar with the device's
// request in it, from 64 goroutines: three signatures to be verified (the
// registrar's, the device's, the IDevID's) and one to be made. The metric
// "x-ecdsa" is the processor time of a request over that of these four operations
// by crypto/ecdsa, one at a time, measured in the same run; "per-batch" how many
// signatures were made at a time.
func BenchmarkRequestVoucher(b *testing.B) {
	for _, c := range []struct {
		name string
		open func(b *testing.B) state.DB
	}{
		{"memory", func(*testing.B) state.DB { return state.NewMemory() }},
		{"badger", func(b *testing.B) state.DB {
			db, err := state.Open(filepath.Join(b.TempDir(), "state"), state.Options{Create: true})
			must(b, err)
			b.Cleanup(func() { db.Close() })
			return db
		}},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkVouchers(b, c.open(b)) })
	}
}

func benchmarkVouchers(b *testing.B, db state.DB) {
	var signer *sigpool.Signer
	w := newWorld(b, func(c *masa.Config) {
		c.DB, c.Observe = db, nil
		key := newKey(b)
		inner, err := sign.NewSigner(sign.ES256, key, sign.Options{})
		must(b, err)
		signer, err = sigpool.NewSigner(inner, engine.OnlineConfig{Batch: 16})
		must(b, err)
		b.Cleanup(signer.Close)
		voucherCA := newEntity(b, "Voucher CA", nil, asCA)
		chain := issue(b, "Voucher Signer", key, voucherCA)
		c.Signer, c.Chain[0], c.Chain[1] = signer, chain.cert, voucherCA.cert
		checks, err := sign.NewVerifier(sign.VerifierOptions{})
		must(b, err)
		verifier, err := sigpool.NewVerifier(checks, engine.OnlineConfig{Batch: 16})
		must(b, err)
		b.Cleanup(verifier.Close)
		c.Verifier = verifier
	})
	key := newKey(b)
	for i := range b.N / 500 { // a device gets 1000 vouchers a day
		w.devices = append(w.devices, issue(b, "Device", key, w.maker, asDevice(fmt.Sprintf("MORE-%06d", i))))
	}
	w.importDevices(masa.ImportOptions{}, w.devices...)
	requests := make([]*exchange.Request, b.N)
	for i := range requests {
		requests[i] = w.join(i % len(w.devices)).exchange()
	}
	unit := ecdsaOperations(b)
	const goroutines = 64
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	begin := processorTime(b)
	done := make(chan error, goroutines)
	for range goroutines {
		go func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(b.N) {
					done <- nil
					return
				}
				if _, err := w.masa.RequestVoucher(context.Background(), requests[i]); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range goroutines {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	each := (processorTime(b) - begin) / time.Duration(b.N)
	b.StopTimer()
	b.ReportMetric(float64(each)/float64(unit), "x-ecdsa")
	if stats := signer.Stats(); stats.Batches > 0 {
		b.ReportMetric(float64(stats.Items)/float64(stats.Batches), "per-batch")
	}
}

// ecdsaOperations is how long the operations of one request take with
// crypto/ecdsa, one after the other.
func ecdsaOperations(b *testing.B) time.Duration {
	b.Helper()
	key := newKey(b).(*ecdsa.PrivateKey)
	digest := sha256.Sum256([]byte("a request"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	must(b, err)
	const rounds = 200
	begin := processorTime(b)
	for range rounds {
		for range 3 {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
				b.Fatal("the signature does not verify")
			}
		}
		if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
	return (processorTime(b) - begin) / rounds
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkImportCertificates(b *testing.B) {
	w := newWorld(b)
	key := newKey(b)
	devices := make([]*entity, 2000)
	for i := range devices {
		devices[i] = issue(b, "Device", key, w.maker, asDevice(fmt.Sprintf("BULK-%06d", i)))
	}
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		w.db = state.NewMemory()
		w.cfg.DB = w.db
		w.start()
		b.StartTimer()
		if done := w.importDevices(masa.ImportOptions{}, devices...); done.New != uint64(len(devices)) {
			b.Fatalf("imported %+v", done)
		}
	}
	b.ReportMetric(float64(len(devices)*b.N)/b.Elapsed().Seconds(), "devices/s")
}
