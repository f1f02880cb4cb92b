package sign

import (
	"bytes"
	"crypto"
	"errors"
	"sync"
	"testing"
)

// faulty signs well but for the signatures whose number fault says.
type faulty struct {
	Signer
	mu    sync.Mutex
	made  int
	fault func(number int) bool
}

func (f *faulty) SignBatch(sigs []byte, inputs [][]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.Signer.SignBatch(sigs, inputs)
	size := f.Algorithm().SignatureSize
	for i := range inputs {
		if f.fault(f.made) {
			sigs[i*size+size/2] ^= 1
		}
		f.made++
	}
	return err
}

func newChecked(t testing.TB, s Signer, every int) Signer {
	t.Helper()
	c, err := Checked(s, every)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckedSignersGiveTheSignersOwnSignatures(t *testing.T) {
	oneGoroutine(t)
	for _, alg := range signingAlgorithms() {
		s := newTestSigner(t, alg, newTestKey(t, alg), Options{})
		c := newChecked(t, s, 1)
		inputs := testInputs(alg, slowed(alg, 5))
		want, got := make([]byte, len(inputs)*alg.SignatureSize), make([]byte, len(inputs)*alg.SignatureSize)
		if err := s.SignBatch(want, inputs); err != nil {
			t.Fatal(err)
		}
		if err := c.SignBatch(got, inputs); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %v", alg, err)
		}
		if c.Algorithm() != alg || !samePublic(c.Public(), s.Public()) || c.Deterministic() != s.Deterministic() {
			t.Errorf("%v: another signer", alg)
		}
	}
}

func TestAFaultySignatureNeverLeavesACheckOfAll(t *testing.T) {
	for _, number := range []int{0, 1, 7, 8, 30} {
		f := &faulty{Signer: newTestSigner(t, ES256, newTestKey(t, ES256), Options{}), fault: func(n int) bool { return n == number }}
		c := newChecked(t, f, 1)
		sigs, inputs := make([]byte, 8*64), testInputs(ES256, 8)
		for batch := range 5 {
			err := c.SignBatch(sigs, inputs)
			if batch < number/8 {
				if err != nil {
					t.Errorf("fault %d, batch %d: %v", number, batch, err)
				}
				continue
			}
			// From the fault on nothing is signed any more.
			var failed *SelfCheckError
			if !errors.As(err, &failed) || !errors.Is(err, ErrSelfCheck) || !errors.Is(err, ErrSignature) || failed.Index != number%8 {
				t.Errorf("fault %d, batch %d: %v", number, batch, err)
			}
			if batch == number/8 && !bytes.Equal(sigs, make([]byte, len(sigs))) {
				t.Errorf("fault %d: signatures were handed out", number)
			}
		}
	}
}

func TestTheFirstSignatureIsChecked(t *testing.T) {
	f := &faulty{Signer: newTestSigner(t, ES256, newTestKey(t, ES256), Options{}), fault: func(n int) bool { return n == 0 }}
	var failed *SelfCheckError
	if err := newChecked(t, f, 1<<30).SignBatch(make([]byte, 64), testInputs(ES256, 1)); !errors.As(err, &failed) {
		t.Errorf("the first signature left unchecked: %v", err)
	}
}

// countingVerifier counts what it is given.
type countingVerifier struct {
	Verifier
	places map[int]int // by the first octet of the input, its place in the batch
}

func (v *countingVerifier) VerifyBatch(items []VerifyItem) error {
	for _, item := range items {
		v.places[int(item.Input[0])]++
	}
	return v.Verifier.VerifyBatch(items)
}

func TestAtLeastOneInNAndEveryPlaceIsChecked(t *testing.T) {
	s := newTestSigner(t, Ed25519, newTestKey(t, Ed25519), Options{})
	for _, every := range []int{1, 2, 3, 16, 17} {
		c := newChecked(t, s, every).(*checkedSigner)
		v := &countingVerifier{Verifier: c.verifier, places: map[int]int{}}
		c.verifier = v
		inputs := make([][]byte, 16)
		for i := range inputs {
			inputs[i] = []byte{byte(i)}
		}
		const batches = 64
		for range batches {
			if err := c.SignBatch(make([]byte, 16*64), inputs); err != nil {
				t.Fatal(err)
			}
		}
		checks := 0
		for _, n := range v.places {
			checks += n
		}
		if checks < 16*batches/every || every > 3 && checks > 16*batches/every+batches || len(v.places) != 16 {
			t.Errorf("one in %d: %d of %d checked, in %d places", every, checks, 16*batches, len(v.places))
		}
	}
}

func TestItemsThatWereNotSignedAreNotChecked(t *testing.T) {
	c := newChecked(t, newTestSigner(t, ES256, newTestKey(t, ES256), Options{}), 1)
	inputs := testInputs(ES256, 4)
	inputs[0], inputs[2] = nil, []byte("never hashed")
	var batch *BatchError
	if err := c.SignBatch(make([]byte, 4*64), inputs); !errors.As(err, &batch) || len(batch.Items) != 2 {
		t.Errorf("%v", err)
	}
	var usage *UsageError
	if err := c.SignBatch(nil, inputs); !errors.As(err, &usage) {
		t.Errorf("no room: %v", err)
	}
	c.Close()
	if err := c.SignBatch(make([]byte, 4*64), inputs); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestCheckedRefusesMisuse(t *testing.T) {
	s := newTestSigner(t, ES256, newTestKey(t, ES256), Options{})
	var usage *UsageError
	for _, every := range []int{0, -1} {
		if _, err := Checked(s, every); !errors.As(err, &usage) {
			t.Errorf("one in %d: %v", every, err)
		}
	}
	if _, err := Checked(nil, 1); !errors.As(err, &usage) {
		t.Errorf("no signer: %v", err)
	}
}

func TestCheckedSignersAreSafeForConcurrentUse(t *testing.T) {
	f := &faulty{Signer: newTestSigner(t, ES256, newTestKey(t, ES256), Options{}), fault: func(n int) bool { return n >= 200 }}
	c := newChecked(t, f, 4)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			sigs := make([]byte, 8*64)
			for range 20 {
				err := c.SignBatch(sigs, testInputs(ES256, 8))
				if err != nil && !errors.Is(err, ErrSelfCheck) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := c.SignBatch(make([]byte, 64), testInputs(ES256, 1)); !errors.Is(err, ErrSelfCheck) {
		t.Errorf("after the fault: %v", err)
	}
}

// replay hands out signatures that were made before, without allocating.
type replay struct {
	pub  crypto.PublicKey
	sigs []byte
}

func (r *replay) Algorithm() *Algorithm    { return Ed25519 }
func (r *replay) Public() crypto.PublicKey { return r.pub }
func (r *replay) Deterministic() bool      { return true }
func (r *replay) Close() error             { return nil }
func (r *replay) SignBatch(sigs []byte, _ [][]byte) error {
	copy(sigs, r.sigs)
	return nil
}

func TestCheckingDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := newTestSigner(t, Ed25519, newTestKey(t, Ed25519), Options{})
	inputs, sigs := testInputs(Ed25519, 16), make([]byte, 16*64)
	if err := s.SignBatch(sigs, inputs); err != nil {
		t.Fatal(err)
	}
	c := newChecked(t, &replay{s.Public(), bytes.Clone(sigs)}, 3)
	if n := testing.AllocsPerRun(50, func() {
		if err := c.SignBatch(sigs, inputs); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
