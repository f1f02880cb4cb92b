package sigpool_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/sigpool"
	"github.com/vouchmill/vouchmill/sign"
)

var (
	_ artefact.Signer   = (*sigpool.Signer)(nil)
	_ artefact.Verifier = (*sigpool.Verifier)(nil)
)

func newSigner(t testing.TB) sign.Signer {
	t.Helper()
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pools(t testing.TB, s sign.Signer, cfg engine.OnlineConfig) (*sigpool.Signer, *sigpool.Verifier, *sign.PublicKey) {
	t.Helper()
	signer, err := sigpool.NewSigner(s, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(signer.Close)
	batch, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := sigpool.NewVerifier(batch, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	key, err := sign.PreparePublicKey(sign.ES256, s.Public())
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier, key
}

// Each caller gets the answer to its own question, whatever shares its batch.
func TestAnswersReachTheirCallers(t *testing.T) {
	signer, verifier, key := pools(t, newSigner(t), engine.OnlineConfig{})
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			digest := sha256.Sum256(fmt.Appendf(nil, "request %d", i))
			signature, err := signer.Sign(t.Context(), digest[:])
			if err != nil {
				t.Error(err)
				return
			}
			if err := verifier.Verify(t.Context(), key, digest[:], signature); err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			signature[i%len(signature)] ^= 1
			if err := verifier.Verify(t.Context(), key, digest[:], signature); !errors.Is(err, sign.ErrSignature) {
				t.Errorf("request %d, altered: %v", i, err)
			}
		})
	}
	all.Wait()
	if s := signer.Stats(); s.Items != 200 || s.Batches == 0 || s.Batches > 200 {
		t.Errorf("signer counted %+v", s)
	}
	if s := verifier.Stats(); s.Items != 400 {
		t.Errorf("verifier counted %+v", s)
	}
}

// gate is a signer that is held until it may go on.
type gate struct {
	sign.Signer
	enter, leave chan struct{}
}

func (g *gate) SignBatch(sigs []byte, inputs [][]byte) error {
	g.enter <- struct{}{}
	<-g.leave
	return g.Signer.SignBatch(sigs, inputs)
}

// Requests that wait while a batch is in work go together.
func TestRequestsThatWaitShareABatch(t *testing.T) {
	g := &gate{newSigner(t), make(chan struct{}), make(chan struct{})}
	signer, _, _ := pools(t, g, engine.OnlineConfig{Workers: 1, Batch: 64})
	digest := sha256.Sum256([]byte("x"))
	var all sync.WaitGroup
	ask := func() {
		if _, err := signer.Sign(t.Context(), digest[:]); err != nil {
			t.Error(err)
		}
	}
	all.Go(ask)
	<-g.enter // the first request is in work, by itself
	started := make(chan struct{}, 32)
	for range 32 {
		all.Go(func() { started <- struct{}{}; ask() })
	}
	for range 32 {
		<-started
	}
	g.leave <- struct{}{}
	answered := make(chan struct{})
	go func() { all.Wait(); close(answered) }()
	for waiting := true; waiting; {
		select {
		case <-g.enter:
			g.leave <- struct{}{}
		case <-answered:
			waiting = false
		}
	}
	if s := signer.Stats(); s.Batches > 32 {
		t.Errorf("33 requests in %d batches", s.Batches)
	}
}

func TestAClosedPoolRefuses(t *testing.T) {
	signer, verifier, key := pools(t, newSigner(t), engine.OnlineConfig{})
	signer.Close()
	verifier.Close()
	digest := sha256.Sum256([]byte("x"))
	if _, err := signer.Sign(t.Context(), digest[:]); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Sign: %v", err)
	}
	if err := verifier.Verify(t.Context(), key, digest[:], make([]byte, 64)); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Verify: %v", err)
	}
}

func TestAnEndedContextEndsTheWait(t *testing.T) {
	g := &gate{newSigner(t), make(chan struct{}), make(chan struct{})}
	signer, _, _ := pools(t, g, engine.OnlineConfig{Workers: 1})
	ctx, cancel := context.WithCancel(t.Context())
	digest := sha256.Sum256([]byte("x"))
	failed := make(chan error)
	go func() {
		_, err := signer.Sign(ctx, digest[:])
		failed <- err
	}()
	<-g.enter
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	g.leave <- struct{}{}
}

// A signer that fails as a whole fails every request of the batch.
func TestAFailingSignerFailsItsRequests(t *testing.T) {
	s := newSigner(t)
	signer, _, _ := pools(t, s, engine.OnlineConfig{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	if _, err := signer.Sign(t.Context(), digest[:]); !errors.Is(err, sign.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if _, err := signer.Sign(t.Context(), digest[:5]); err == nil {
		t.Error("a digest of five octets was signed")
	}
}
