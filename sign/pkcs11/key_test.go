package pkcs11

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vouchmill/vouchmill/sign"
)

// device is a token made of memory, which can be taken out.
type device struct {
	key      *ecdsa.PrivateKey
	mu       sync.Mutex
	failure  error // of signing, nil while all is well
	absence  error // of connecting
	logins   int
	busy     atomic.Int64
	most     atomic.Int64 // signatures seen at once
	lastPIN  string
	onSign   func()
	sessions int
}

type deviceLogin struct {
	d      *device
	key    *ecdsa.PrivateKey
	broken error
}

func newDevice(t *testing.T) *device {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &device{key: key}
}

func (d *device) dial(_ *URI, pin []byte, sessions int) (connection, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logins++
	d.lastPIN, d.sessions = string(pin), sessions
	if d.absence != nil {
		return nil, d.absence
	}
	d.failure = nil
	return &deviceLogin{d: d, key: d.key}, nil
}

func (l *deviceLogin) Public() crypto.PublicKey { return l.key.Public() }
func (l *deviceLogin) Close() error             { return nil }

func (l *deviceLogin) Sign(digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	for n := l.d.busy.Add(1); ; {
		most := l.d.most.Load()
		if n <= most || l.d.most.CompareAndSwap(most, n) {
			break
		}
	}
	defer l.d.busy.Add(-1)
	if l.d.onSign != nil {
		l.d.onSign()
	}
	l.d.mu.Lock()
	if l.d.failure != nil {
		l.broken = l.d.failure
	}
	broken := l.broken
	l.d.mu.Unlock()
	if broken != nil {
		return nil, broken
	}
	return l.key.Sign(rand.Reader, digest, crypto.SHA256)
}

// take breaks all connections; new ones fail with absence, if not nil.
func (d *device) take(absence error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failure, d.absence = &Error{Op: "signing", Code: 0x32}, absence
}

func openDevice(t *testing.T, d *device, opts Options) *Key {
	t.Helper()
	t.Setenv(PINEnv, "1234")
	u, err := ParseURI("pkcs11:token=t;object=o" + module)
	if err != nil {
		t.Fatal(err)
	}
	k, err := open(u, opts, d.dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func digests(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		d := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		list[i] = d[:]
	}
	return list
}

// verify checks all signatures of a batch but those of the items in bad.
func verify(t *testing.T, pub crypto.PublicKey, sigs []byte, inputs [][]byte, bad ...int) {
	t.Helper()
	key, err := sign.PreparePublicKey(sign.ES256, pub)
	if err != nil {
		t.Fatal(err)
	}
	v, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	isBad := map[int]bool{}
	for _, i := range bad {
		isBad[i] = true
	}
	for i, input := range inputs {
		sig := sigs[64*i : 64*i+64]
		err := v.VerifyBatch([]sign.VerifyItem{{Key: key, Input: input, Signature: sig}})
		if (err != nil) != isBad[i] || isBad[i] && !bytes.Equal(sig, make([]byte, 64)) {
			t.Errorf("item %d: %v", i, err)
		}
	}
}

func TestBatchesUseAllSessionsAndNoMore(t *testing.T) {
	d := newDevice(t)
	k := openDevice(t, d, Options{Sessions: 4})
	if d.sessions != 4 || d.lastPIN != "1234" {
		t.Errorf("connected with %d sessions and PIN %q", d.sessions, d.lastPIN)
	}
	s, err := k.NewSigner(nil)
	if err != nil {
		t.Fatal(err)
	}
	// The first four meet: they are on the token at once.
	var meeting sync.WaitGroup
	meeting.Add(4)
	var first atomic.Int64
	d.onSign = func() {
		if first.Add(1) <= 4 {
			meeting.Done()
			meeting.Wait()
		}
	}
	inputs, sigs := digests(100), make([]byte, 64*100)
	var both sync.WaitGroup
	other := make([]byte, 64*100)
	both.Go(func() {
		if err := s.SignBatch(other, inputs); err != nil {
			t.Error(err)
		}
	})
	if err := s.SignBatch(sigs, inputs); err != nil {
		t.Fatal(err)
	}
	both.Wait()
	verify(t, k.Public(), sigs, inputs)
	verify(t, k.Public(), other, inputs)
	if d.most.Load() != 4 || d.logins != 1 || s.Deterministic() || s.Algorithm() != sign.ES256 {
		t.Errorf("%d at once, %d logins, deterministic %v, %v", d.most.Load(), d.logins, s.Deterministic(), s.Algorithm())
	}
	if got := k.Stats(); got != (Stats{Signed: 200}) {
		t.Errorf("%+v", got)
	}
}

func TestATokenThatComesBackGoesOnSigning(t *testing.T) {
	d := newDevice(t)
	var waits atomic.Int64
	k := openDevice(t, d, Options{Sessions: 3, Waiting: func(cause error) {
		if cause == nil {
			t.Error("waiting for nothing")
		}
		if waits.Add(1) == 3 { // plugged in again before the third attempt
			d.mu.Lock()
			d.absence = nil
			d.mu.Unlock()
		}
	}})
	s, err := k.NewSigner(sign.ES256)
	if err != nil {
		t.Fatal(err)
	}
	d.take(&Error{Op: "connecting", Code: 0xe0})
	inputs, sigs := digests(20), make([]byte, 64*20)
	if err := s.SignBatch(sigs, inputs); err != nil {
		t.Fatal(err)
	}
	verify(t, k.Public(), sigs, inputs)
	if got := k.Stats(); got.Reconnects != 1 || got.Down || got.Signed != 20 || waits.Load() != 3 {
		t.Errorf("%+v, %d waits", got, waits.Load())
	}
}

func TestATokenThatStaysAwayFailsItems(t *testing.T) {
	d := newDevice(t)
	k := openDevice(t, d, Options{Patience: -1})
	s, err := k.NewSigner(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.take(ErrNoToken)
	inputs, sigs := digests(5), bytes.Repeat([]byte{1}, 64*5)
	var batch *sign.BatchError
	err = s.SignBatch(sigs, inputs)
	var failure *Error
	if !errors.As(err, &batch) || len(batch.Items) != 5 || !errors.Is(err, ErrNoToken) || !errors.As(err, &failure) || !bytes.Equal(sigs, make([]byte, len(sigs))) {
		t.Errorf("%v", err)
	}
	if !k.Stats().Down {
		t.Error("the token is said to be there")
	}
	d.mu.Lock()
	d.absence = nil
	d.mu.Unlock()
	if err := s.SignBatch(sigs, inputs); err != nil {
		t.Errorf("after it came back: %v", err)
	}
	verify(t, k.Public(), sigs, inputs)
}

func TestARefusedPINIsNotTriedAgain(t *testing.T) {
	d := newDevice(t)
	k := openDevice(t, d, Options{})
	d.take(&Error{Op: "connecting", Code: 0xa0})
	var failure *Error
	for range 5 {
		if _, err := k.Sign(nil, digests(1)[0], crypto.SHA256); !errors.As(err, &failure) {
			t.Fatal(err)
		}
	}
	if failure.Name() != "CKR_PIN_INCORRECT" || d.logins != 2 {
		t.Errorf("%v after %d logins", failure, d.logins)
	}
}

func TestAnotherKeyUnderTheNameIsRefused(t *testing.T) {
	d := newDevice(t)
	k := openDevice(t, d, Options{})
	d.take(nil)
	d.key = newDevice(t).key
	for range 2 {
		if _, err := k.Sign(nil, digests(1)[0], crypto.SHA256); !errors.Is(err, ErrOtherKey) {
			t.Errorf("signed with another key: %v", err)
		}
	}
}

func TestErrorsOtherThanLossFailTheItemAlone(t *testing.T) {
	d := newDevice(t)
	k := openDevice(t, d, Options{Sessions: 1})
	s, err := k.NewSigner(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	d.onSign = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if n++; n == 3 {
			d.failure = &Error{Op: "signing", Code: 0x06}
		}
	}
	inputs, sigs := digests(3), make([]byte, 64*3)
	var batch *sign.BatchError
	if err := s.SignBatch(sigs, inputs); !errors.As(err, &batch) || len(batch.Items) != 1 || batch.Items[0].Index != 2 || !strings.Contains(err.Error(), "CKR_FUNCTION_FAILED") {
		t.Errorf("%v", err)
	}
	verify(t, k.Public(), sigs, inputs, 2)
	if d.logins != 1 {
		t.Errorf("%d logins", d.logins)
	}
}

func TestATokenThatFailsRightAfterEachLoginIsGivenUp(t *testing.T) {
	d := newDevice(t)
	k := openDevice(t, d, Options{})
	d.onSign = func() { d.take(nil) }
	var failure *Error
	if _, err := k.Sign(nil, digests(1)[0], crypto.SHA256); !errors.As(err, &failure) || failure.Code != 0x32 {
		t.Errorf("%v", err)
	}
	if d.logins != 1+maxAttempts {
		t.Errorf("%d logins", d.logins)
	}
}

func TestCloseEndsWaiting(t *testing.T) {
	d := newDevice(t)
	var k *Key
	waiting := make(chan struct{})
	var once sync.Once
	k = openDevice(t, d, Options{Waiting: func(error) { once.Do(func() { close(waiting) }) }})
	s, err := k.NewSigner(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.take(ErrNoToken)
	result := make(chan error)
	go func() { result <- s.SignBatch(make([]byte, 64*30), digests(30)) }()
	<-waiting
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, sign.ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := k.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	s.Close()
	if err := s.SignBatch(make([]byte, 128), digests(2)); err != sign.ErrClosed {
		t.Errorf("the signer was closed: %v", err)
	}
}

func TestPINs(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv(PINEnv, "from the environment")
	for name, c := range map[string]struct {
		source, pin string
		lax         bool
	}{
		"environment":  {"", "from the environment", false},
		"file":         {file("pin", "1234\n", 0o600), "1234", false},
		"no line end":  {file("bare", "12 34", 0o400), "12 34", false},
		"CR LF":        {file("dos", "1234\r\n", 0o600), "1234", false},
		"open to all":  {file("lax", "1234\n", 0o644), "1234", true},
		"two lines":    {file("two", "1234\n5678\n", 0o600), "", false},
		"empty":        {file("empty", "\n", 0o600), "", false},
		"too long":     {file("long", strings.Repeat("1", maxPIN+1), 0o600), "", false},
		"missing file": {filepath.Join(dir, "none"), "", false},
	} {
		pin, lax, err := (&URI{PINSource: c.source}).readPIN()
		if string(pin) != c.pin || (err == nil) != (c.pin != "") || (lax != nil) != c.lax || err != nil && !errors.Is(err, ErrPIN) {
			t.Errorf("%s: %q, %v, %v", name, pin, lax, err)
		}
		if err != nil && strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: the error repeats the PIN: %v", name, err)
		}
	}
	t.Setenv(PINEnv, "")
	if _, _, err := (&URI{}).readPIN(); !errors.Is(err, ErrPIN) {
		t.Errorf("no PIN: %v", err)
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	d := newDevice(t)
	var usage *sign.UsageError
	for _, sessions := range []int{-1, MaxSessions + 1} {
		if _, err := open(&URI{}, Options{Sessions: sessions}, d.dial); !errors.As(err, &usage) {
			t.Errorf("%d sessions: %v", sessions, err)
		}
	}
}

func TestValuesNobodyListedStillSaySomething(t *testing.T) {
	for code, name := range map[uint]string{0x80000001: "CKR_VENDOR_DEFINED", 0x7777: "unknown value"} {
		e := &Error{Op: "signing", Code: code}
		if e.Name() != name || e.Cause() == "" || e.Lost() || e.Refused() || !strings.Contains(e.Error(), name) {
			t.Errorf("%v", e)
		}
	}
}
