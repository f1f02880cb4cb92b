package bench

import (
	"crypto"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/sign"
)

// signInputs makes n distinct inputs of a size the algorithm takes.
func signInputs(alg *sign.Algorithm, n int) [][]byte {
	inputs := make([][]byte, n)
	for i := range inputs {
		inputs[i] = alg.Hash.Append(nil, fmt.Append(nil, i))
	}
	return inputs
}

// signAlgorithms are those we sign with.
func signAlgorithms() []*sign.Algorithm {
	var out []*sign.Algorithm
	for _, alg := range sign.Algorithms() {
		if !alg.VerifyOnly {
			out = append(out, alg)
		}
	}
	return out
}

// batchSizes keeps hash-based signatures, up to a quarter of a second each, to
// few: batches gain nothing there.
func batchSizes(alg *sign.Algorithm) []int {
	if strings.HasPrefix(alg.Name, "SLH-DSA") {
		return []int{1}
	}
	return []int{1, 8, 16, 64, 256}
}

// BenchmarkSign signs a batch an iteration, on one processor. impl=crypto is the
// peer: the key's own Sign, deterministic, called as one calls it without
// package sign.
func BenchmarkSign(b *testing.B) {
	for _, alg := range signAlgorithms() {
		b.Run("alg="+strings.ToLower(alg.Name), func(b *testing.B) {
			key := must(sign.GenerateKey(alg, nil))(b)
			for _, impl := range sign.Implementations(alg, key) {
				for _, size := range batchSizes(alg) {
					b.Run(fmt.Sprintf("impl=%s/batch=%d", impl, size), func(b *testing.B) {
						signBatches(b, alg, key, impl, size)
					})
				}
			}
			b.Run("impl=crypto/batch=1", func(b *testing.B) { signByCrypto(b, alg, key) })
		})
	}
}

func signBatches(b *testing.B, alg *sign.Algorithm, key crypto.Signer, impl string, size int) {
	signer := must(sign.NewSigner(alg, key, sign.Options{Impl: impl}))(b)
	defer signer.Close()
	inputs, sigs := signInputs(alg, size), make([]byte, size*alg.SignatureSize)
	before := CPUTime()
	b.ReportAllocs()
	for b.Loop() {
		if err := signer.SignBatch(sigs, inputs); err != nil {
			b.Fatal(err)
		}
	}
	reportSignatures(b, size, before)
}

func signByCrypto(b *testing.B, alg *sign.Algorithm, key crypto.Signer) {
	input, hash := signInputs(alg, 1)[0], crypto.Hash(0)
	if !alg.Message {
		hash = alg.Hash.Crypto()
	}
	before := CPUTime()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Sign(nil, input, hash); err != nil {
			b.Fatal(err)
		}
	}
	reportSignatures(b, 1, before)
}

func reportSignatures(b *testing.B, batch int, before time.Duration) {
	signatures := float64(b.N) * float64(batch)
	b.ReportMetric(signatures/b.Elapsed().Seconds(), "sig/s")
	ReportCPU(b, CPUTime()-before, signatures, "sig")
}

// BenchmarkSignAllCores signs batches of 256 on all processors at once, with
// nothing around them: the rate a whole run can at best have. It is what
// BenchmarkIssue is held against.
func BenchmarkSignAllCores(b *testing.B) {
	const batches, size = 40, 256
	alg := sign.ES256
	key := must(sign.GenerateKey(alg, nil))(b)
	for _, impl := range sign.Implementations(alg, key) {
		b.Run("alg=es256/impl="+impl, func(b *testing.B) {
			signer := must(sign.NewSigner(alg, key, sign.Options{Impl: impl}))(b)
			defer signer.Close()
			inputs, cores := signInputs(alg, size), runtime.GOMAXPROCS(0)
			before := CPUTime()
			for b.Loop() {
				var all sync.WaitGroup
				for range cores {
					all.Go(func() {
						sigs := make([]byte, size*alg.SignatureSize)
						for range batches {
							if err := signer.SignBatch(sigs, inputs); err != nil {
								b.Error(err)
							}
						}
					})
				}
				all.Wait()
			}
			reportSignatures(b, cores*batches*size, before)
		})
	}
}

// BenchmarkVerifySig checks batches of 64 signatures (hash-based ones: 4), by one
// key and each by its own.
func BenchmarkVerifySig(b *testing.B) {
	for _, alg := range signAlgorithms() {
		for _, keys := range []string{"one", "distinct"} {
			b.Run(fmt.Sprintf("alg=%s/keys=%s", strings.ToLower(alg.Name), keys), func(b *testing.B) {
				items := signedItems(b, alg, min(64, 4*batchSizes(alg)[len(batchSizes(alg))-1]), keys == "distinct")
				for _, impl := range sign.VerifierImplementations() {
					if impl == "wide" && alg != sign.ES256 || impl == sign.Ed25519Batch && alg != sign.Ed25519 {
						continue // it does all others as the standard library does
					}
					b.Run("impl="+impl, func(b *testing.B) { verifySignatures(b, items, impl) })
				}
			})
		}
	}
}

func verifySignatures(b *testing.B, items []sign.VerifyItem, impl string) {
	verifier := must(sign.NewVerifier(sign.VerifierOptions{Impl: impl}))(b)
	before := CPUTime()
	b.ReportAllocs()
	for b.Loop() {
		if err := verifier.VerifyBatch(items); err != nil {
			b.Fatal(err)
		}
	}
	reportSignatures(b, len(items), before)
}

// signedItems makes a batch of good signatures, by one key or each by its own.
func signedItems(b *testing.B, alg *sign.Algorithm, size int, distinct bool) []sign.VerifyItem {
	b.Helper()
	items := make([]sign.VerifyItem, size)
	var signer sign.Signer
	var public *sign.PublicKey
	for i, input := range signInputs(alg, size) {
		if i == 0 || distinct {
			signer = must(sign.NewSigner(alg, must(sign.GenerateKey(alg, nil))(b), sign.Options{}))(b)
			b.Cleanup(func() { signer.Close() })
			public = must(sign.PreparePublicKey(alg, signer.Public()))(b)
		}
		signature := make([]byte, alg.SignatureSize)
		if err := signer.SignBatch(signature, [][]byte{input}); err != nil {
			b.Fatal(err)
		}
		items[i] = sign.VerifyItem{Key: public, Input: input, Signature: signature}
	}
	return items
}
