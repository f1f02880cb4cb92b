//go:build cgo

package pkcs11

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"github.com/vouchmill/vouchmill/sign"
)

// softHSM is a token in a folder, made once for the whole process: the library
// reads its configuration when it is first loaded.
type softHSM struct {
	module, tokens string
}

const (
	testPIN   = "1234"
	testLabel = "masa token"
)

var modules = []string{
	"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/softhsm/libsofthsm.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// hsm is nil where SoftHSM is not installed; why says so.
var hsm, why = (*softHSM)(nil), ""

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "softhsm")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	hsm, err = newSoftHSM(dir)
	if err != nil {
		why = err.Error()
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newSoftHSM(dir string) (*softHSM, error) {
	tool, err := exec.LookPath("softhsm2-util")
	if err != nil {
		return nil, errors.New("SoftHSM2 is not installed")
	}
	h := &softHSM{tokens: filepath.Join(dir, "tokens")}
	for _, path := range modules {
		if _, err := os.Stat(path); err == nil {
			h.module = path
			break
		}
	}
	if h.module == "" {
		return nil, errors.New("SoftHSM2's library is not where it is looked for")
	}
	conf := filepath.Join(dir, "softhsm2.conf")
	text := "directories.tokendir = " + h.tokens + "\nobjectstore.backend = file\nlog.level = ERROR\n"
	if err := errors.Join(os.Mkdir(h.tokens, 0o700), os.WriteFile(conf, []byte(text), 0o600), os.Setenv("SOFTHSM2_CONF", conf)); err != nil {
		return nil, err
	}
	out, err := exec.Command(tool, "--init-token", "--free", "--label", testLabel, "--so-pin", "12345678", "--pin", testPIN).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("softhsm2-util: %w: %s", err, out)
	}
	return h, nil
}

// needHSM skips where there is no SoftHSM, but never in CI.
func needHSM(t *testing.T) *softHSM {
	t.Helper()
	if hsm == nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	t.Setenv(PINEnv, testPIN)
	return hsm
}

func (h *softHSM) uri(object string) string {
	return "pkcs11:token=masa%20token;object=" + object + "?module-path=" + h.module
}

// generated makes a key named after the test.
func generated(t *testing.T, h *softHSM, alg *sign.Algorithm, opts Options) *Key {
	t.Helper()
	k, err := Generate(h.uri(t.Name()+alg.Name), alg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func TestKeysOnATokenSignBatches(t *testing.T) {
	h := needHSM(t)
	v, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []*sign.Algorithm{sign.ES256, sign.ES384, sign.ES512} {
		made := generated(t, h, alg, Options{Sessions: 4})
		again, err := Open(made.URI(), Options{Sessions: 2})
		if err != nil {
			t.Fatal(err)
		}
		if !samePublic(again.Public(), made.Public()) || again.LaxPIN() != nil {
			t.Errorf("%v: opened as another key", alg)
		}
		for _, k := range []*Key{made, again} {
			s, err := k.NewSigner(alg)
			if err != nil {
				t.Fatal(err)
			}
			pub, err := sign.PreparePublicKey(alg, k.Public())
			if err != nil {
				t.Fatal(err)
			}
			size, inputs := alg.SignatureSize, make([][]byte, 40)
			for i := range inputs {
				inputs[i] = alg.Hash.Append(nil, []byte{byte(i)})
			}
			sigs := make([]byte, len(inputs)*size)
			if err := s.SignBatch(sigs, inputs); err != nil {
				t.Fatal(err)
			}
			items := make([]sign.VerifyItem, len(inputs))
			for i := range items {
				items[i] = sign.VerifyItem{Key: pub, Input: inputs[i], Signature: sigs[i*size : (i+1)*size]}
			}
			if err := v.VerifyBatch(items); err != nil {
				t.Errorf("%v: %v", alg, err)
			}
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Another program closing all sessions is what a reset token looks like.
func TestLostSessionsAreOpenedAnew(t *testing.T) {
	h := needHSM(t)
	k := generated(t, h, sign.ES256, Options{Sessions: 3})
	s, err := k.NewSigner(nil)
	if err != nil {
		t.Fatal(err)
	}
	inputs, sigs := digests(12), make([]byte, 64*12)
	if err := s.SignBatch(sigs, inputs); err != nil {
		t.Fatal(err)
	}
	// The same library in the same process: initialised already.
	ctx := p11.New(h.module)
	defer ctx.Destroy()
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		if err := ctx.CloseAllSessions(slot); err != nil {
			t.Fatal(err)
		}
	}
	clear(sigs)
	if err := s.SignBatch(sigs, inputs); err != nil {
		t.Fatal(err)
	}
	verify(t, k.Public(), sigs, inputs)
	if got := k.Stats(); got.Reconnects != 1 || got.Signed != 24 {
		t.Errorf("%+v", got)
	}
}

func TestATokenTakenOutAndPutBack(t *testing.T) {
	h := needHSM(t)
	away := h.tokens + ".away"
	put := false
	k := generated(t, h, sign.ES256, Options{Sessions: 2, Waiting: func(cause error) {
		if !put && errors.Is(cause, ErrNoToken) {
			put = true
			if err := errors.Join(os.Remove(h.tokens), os.Rename(away, h.tokens)); err != nil {
				t.Error(err)
			}
		}
	}})
	if err := errors.Join(os.Rename(h.tokens, away), os.Mkdir(h.tokens, 0o700)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if !put { // whatever happened, other tests need the token
			os.Remove(h.tokens)
			os.Rename(away, h.tokens)
		}
	}()
	s, err := k.NewSigner(nil)
	if err != nil {
		t.Fatal(err)
	}
	// SoftHSM goes on with what it has in memory until its sessions are closed.
	ctx := p11.New(h.module)
	defer ctx.Destroy()
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		ctx.CloseAllSessions(slot)
	}
	inputs, sigs := digests(6), make([]byte, 64*6)
	if err := s.SignBatch(sigs, inputs); err != nil {
		t.Fatal(err)
	}
	verify(t, k.Public(), sigs, inputs)
	if !put || k.Stats().Reconnects != 1 {
		t.Errorf("put back: %v, %+v", put, k.Stats())
	}
}

func TestWhatTheTokenRefusesIsExplained(t *testing.T) {
	h := needHSM(t)
	k := generated(t, h, sign.ES256, Options{})
	if _, err := Generate(k.URI(), sign.ES256, Options{}); !errors.Is(err, ErrExists) {
		t.Errorf("a second key of the name: %v", err)
	}
	name := h.uri(t.Name() + sign.ES256.Name)
	if err := k.Close(); err != nil { // log out, so that the PIN is asked for again
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		uri, pin string
		is       error
		says     string
	}{
		"no such key":     {h.uri("nothing"), testPIN, ErrNoKey, "no such key"},
		"no such token":   {strings.Replace(name, "masa%20token", "other", 1), testPIN, ErrNoToken, "pkcs11-tool -L"},
		"no such slot":    {strings.Replace(name, "token=masa%20token", "slot-id=99", 1), testPIN, ErrNoToken, ""},
		"no library":      {strings.Replace(name, h.module, "/nowhere/lib.so", 1), testPIN, ErrModule, ""},
		"not a library":   {strings.Replace(name, h.module, os.Args[0], 1), testPIN, ErrModule, ""},
		"no PIN":          {name, "", ErrPIN, PINEnv},
		"wrong PIN":       {name, "9999", p11.Error(p11.CKR_PIN_INCORRECT), "CKR_PIN_INCORRECT (0xa0): the PIN is wrong"},
		"too short a PIN": {name, "1", nil, "CKR_PIN_"},
	} {
		t.Setenv(PINEnv, c.pin)
		k, err := Open(c.uri, Options{})
		if err == nil {
			k.Close()
		}
		if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
		if c.pin != "" && c.pin != "1" && err != nil && strings.Contains(err.Error(), c.pin) {
			t.Errorf("%s: the error repeats the PIN: %v", what, err)
		}
	}
	var refused *sign.AlgorithmError
	for _, alg := range []*sign.Algorithm{nil, sign.Ed25519, sign.MLDSA44} {
		if _, err := Generate(h.uri("other"), alg, Options{}); !errors.As(err, &refused) {
			t.Errorf("a key for %v: %v", alg, err)
		}
	}
	var uri *URIError
	if _, err := Generate(strings.Replace(name, "object="+t.Name()+sign.ES256.Name, "id=1", 1), sign.ES256, Options{}); !errors.As(err, &uri) {
		t.Errorf("a key without a label: %v", err)
	}
}

func TestSeveralKeysOfOneLabelNeedAnID(t *testing.T) {
	h := needHSM(t)
	first := generated(t, h, sign.ES256, Options{})
	login, err := login(first.uri, []byte(testPIN), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer login.Close()
	if _, err := login.context.GenerateECDSAKeyPairWithLabel([]byte("second"), []byte(first.uri.Object), curves[sign.ES256]); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(h.uri(first.uri.Object), Options{}); !errors.Is(err, ErrManyKeys) {
		t.Errorf("two keys: %v", err)
	}
	one, err := Open(first.URI(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if !samePublic(one.Public(), first.Public()) {
		t.Error("the id named another key")
	}
}

// A key of a type we only verify with is refused when it is opened.
func TestRSAKeysOnATokenAreRefused(t *testing.T) {
	h := needHSM(t)
	anchor := generated(t, h, sign.ES256, Options{})
	login, err := login(anchor.uri, []byte(testPIN), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer login.Close()
	if _, err := login.context.GenerateRSAKeyPairWithLabel([]byte("rsa"), []byte("rsa key"), 2048); err != nil {
		t.Fatal(err)
	}
	var refused *sign.AlgorithmError
	if _, err := Open(h.uri("rsa%20key"), Options{}); !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
}

func TestTheTableOfReturnValuesIsTheStandards(t *testing.T) {
	names := regexp.MustCompile(`CKR_[A-Z0-9_]+`)
	for code, value := range returnValues {
		if got := names.FindString(p11.Error(code).Error()); got != value.name {
			t.Errorf("0x%x is %s, not %s", code, got, value.name)
		}
	}
}

// Certificates are matched with keys on tokens as with any other.
func TestKeysOnATokenAreSigners(t *testing.T) {
	k := generated(t, needHSM(t), sign.ES256, Options{})
	var _ crypto.Signer = k
	s, err := sign.NewSigner(sign.ES256, k, sign.Options{})
	if err != nil {
		t.Fatal(err)
	}
	checked, err := sign.Checked(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	if err := checked.SignBatch(sig, digests(1)); err != nil || bytes.Equal(sig, make([]byte, 64)) {
		t.Errorf("%v", err)
	}
}
