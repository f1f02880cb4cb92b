//go:build amd64 && !purego

package wide

import (
	"bytes"
	"errors"
	"testing"
)

func TestFirstSignatureAndOneInEveryIntervalAreVerified(t *testing.T) {
	for _, sizes := range [][]int{{1}, {16}, {255, 2}, {256}, {7, 300, 1000}} {
		var s Signer
		total, verified, batches := 0, 0, 0
		for total < 20*checkInterval {
			n := sizes[batches%len(sizes)]
			first, last := s.sampled(n)
			if first < 0 || last > n {
				t.Fatalf("batch of %d: [%d, %d) is verified", n, first, last)
			}
			if batches == 0 && last == first {
				t.Fatalf("the first batch of %d is not verified", n)
			}
			total += n
			batches++
			verified += (last - first + Lanes - 1) / Lanes
			if verified < total/checkInterval || verified > 2+total/min(n, checkInterval) {
				t.Fatalf("%d checks in %d signatures", verified, total)
			}
		}
	}
	var s Signer
	s.SetCheck(CheckAll)
	if first, last := s.sampled(1000); first != 0 || last != 1000 {
		t.Errorf("all: [%d, %d)", first, last)
	}
	s.SetCheck(CheckNone)
	if first, last := s.sampled(1000); first != last {
		t.Errorf("none: [%d, %d)", first, last)
	}
}

// A fault that falls on every signature, here a wrong bit of the private key, is
// found in the first batch, and the signatures are right all the same.
func TestFaultIsFoundAndTheBatchSignedAgain(t *testing.T) {
	skipWithoutWide(t)
	for _, check := range []Check{CheckSome, CheckAll} {
		for _, n := range []int{1, 16, 300} {
			w, s := signersOf(t, testKey(30))
			w.SetCheck(check)
			w.wide.d[2][n%8] ^= 1
			digests := randomDigests(n)
			if got, want := mustSign(t, w, digests), mustSign(t, s, digests); !bytes.Equal(got, want) {
				t.Fatalf("check %d, batch of %d: wrong signatures were let go", check, n)
			}
		}
	}
}

// A fault in one lane of one signer is seen by CheckAll wherever it is.
func TestCheckAllFindsOneWrongSignature(t *testing.T) {
	skipWithoutWide(t)
	w, s := signersOf(t, testKey(31))
	digests := randomDigests(100)
	good := mustSign(t, s, digests)
	w.SetCheck(CheckAll)
	for i := range digests {
		sigs := bytes.Clone(good)
		sigs[64*i+i%64] ^= 1
		w.faulty.Store(false)
		if err := w.release(sigs, digests); err != nil || !bytes.Equal(sigs, good) || !w.faulty.Load() {
			t.Fatalf("item %d: error %v, signed again %v", i, err, w.faulty.Load())
		}
	}
}

func TestNothingLeavesIfBothWaysAreWrong(t *testing.T) {
	skipWithoutWide(t)
	w, _ := signersOf(t, testKey(32))
	other, _ := signersOf(t, testKey(33))
	w.public = other.public
	digests, sigs := randomDigests(20), make([]byte, 20*64)
	var fault *FaultError
	if err := w.SignDigests(sigs, digests); !errors.As(err, &fault) || fault.Index != 0 {
		t.Fatalf("error %v", err)
	}
	if !bytes.Equal(sigs, make([]byte, len(sigs))) {
		t.Error("signatures were let go")
	}
}
