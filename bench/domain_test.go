package bench

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/sigpool"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// A party is a key with its certificate and that of its CA.
type party struct {
	authority *ca.Authority
	key       crypto.Signer
	chain     []*x509.Certificate
}

// An onboarding is who takes part in joins: a manufacturer with its MASA and
// devices, and a domain with its registrar. All keys are P-256.
type onboarding struct {
	now                time.Time
	maker              *ca.Authority // of IDevIDs
	vouchers, register party
	devices            []thing
}

// A thing is a device as it leaves the factory.
type thing struct {
	serial string
	key    crypto.Signer
	cert   *x509.Certificate
}

func (o *onboarding) authority(t testing.TB, name string) *ca.Authority {
	t.Helper()
	return must(ca.NewRoot(ca.RootParams{CommonName: name, Key: newKey(t), NotBefore: o.now.AddDate(-1, 0, 0), NotAfter: o.now.AddDate(20, 0, 0), PathLen: -1}, ca.Options{}))(t)
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	return must(sign.GenerateKey(sign.ES256, nil))(t)
}

func (o *onboarding) party(t testing.TB, name string, issue func(*ca.Authority, ca.EntityParams) (*x509.Certificate, error)) party {
	t.Helper()
	p := party{authority: o.authority(t, name+" CA"), key: newKey(t)}
	cert := must(issue(p.authority, ca.EntityParams{CommonName: name, PublicKey: p.key.Public(), NotBefore: o.now.AddDate(0, -1, 0), NotAfter: o.now.AddDate(2, 0, 0)}))(t)
	p.chain = []*x509.Certificate{cert, p.authority.Certificate()}
	return p
}

func newOnboarding(t testing.TB, devices int) *onboarding {
	t.Helper()
	o := &onboarding{now: time.Now().UTC().Truncate(time.Second)} // programs have no other clock
	o.maker = o.authority(t, "Bench IDevID CA")
	o.vouchers = o.party(t, "Bench Voucher Signer", (*ca.Authority).VoucherSigner)
	o.register = o.party(t, "Bench Registrar", func(a *ca.Authority, p ca.EntityParams) (*x509.Certificate, error) {
		p.Names.DNS = []string{"registrar.example.com"}
		return a.Registrar(p)
	})
	for i := range devices {
		d := thing{serial: fmt.Sprintf("JADA%08d", i), key: newKey(t)}
		d.cert = must(o.maker.IDevID(ca.IDevIDParams{SerialNumber: d.serial, PublicKey: d.key.Public(), NotBefore: o.now.AddDate(0, -2, 0), MASAURL: "masa.example.com"}))(t)
		o.devices = append(o.devices, d)
	}
	return o
}

// signer is a signer of one signature at a time.
func (o *onboarding) signer(t testing.TB, key crypto.Signer, impl string) artefact.Signer {
	t.Helper()
	s := must(sign.NewSigner(sign.ES256, key, sign.Options{Impl: impl}))(t)
	t.Cleanup(func() { s.Close() })
	return artefact.Signing(s)
}

// serve makes a MASA that keeps its state in db and has the devices on record.
func (o *onboarding) serve(t testing.TB, db state.DB, verifier artefact.Verifier, signer artefact.Signer) *masa.Service {
	t.Helper()
	secret, _, err := audit.GenerateKey(rand.Reader, "masa.example.com/audit")
	if err != nil {
		t.Fatal(err)
	}
	log := must(audit.New(must(audit.NewSigner(secret))(t), rand.Reader))(t)
	service := must(masa.New(masa.Config{DB: db, Log: log, Verifier: verifier, Signer: signer, Chain: o.vouchers.chain,
		Manufacturers: []device.Manufacturer{{Name: "bench", Anchors: []*x509.Certificate{o.maker.Certificate()}}}}))(t)
	var der bytes.Buffer
	for _, d := range o.devices {
		der.Write(d.cert.Raw)
	}
	devices := must(list.NewReader(&der, list.Options{Name: "devices"}))(t)
	done := must(service.ImportDevices(context.Background(), devices, masa.ImportOptions{Now: o.now}))(t)
	if done.New != uint64(len(o.devices)) {
		t.Fatalf("%d of %d devices were imported", done.New, len(o.devices))
	}
	return service
}

// requests makes a registrar's request for each device, with the device's own
// inside.
func (o *onboarding) requests(t testing.TB, format codec.Format) [][]byte {
	t.Helper()
	by := func(key crypto.Signer, chain ...*x509.Certificate) *artefact.Sealer {
		return must(artefact.NewSealer(artefact.SealerParams{Format: format, Signer: o.signer(t, key, ""), Chain: chain}))(t)
	}
	registrar, ctx := by(o.register.key, o.register.chain...), context.Background()
	out := make([][]byte, len(o.devices))
	for i, d := range o.devices {
		nonce := make([]byte, 16)
		_, _ = rand.Read(nonce)
		base := codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: o.now, SerialNumber: []byte(d.serial), Nonce: nonce}
		own := must(by(d.key, d.cert).Request(ctx, &codec.VoucherRequest{Voucher: base, ProximityRegistrarCert: o.register.chain[0].Raw}))(t)
		base.IDevIDIssuer = artefact.IssuerLeaf(must(codec.ParseIDevID(d.cert.Raw))(t))
		out[i] = must(registrar.Request(ctx, &codec.VoucherRequest{Voucher: base, PriorSignedVoucherRequest: own}))(t)
	}
	return out
}

// pools are batches of signatures and of checks that callers share.
func pools(t testing.TB, key crypto.Signer, impl string) (*sigpool.Verifier, *sigpool.Signer) {
	t.Helper()
	batch := must(sign.NewSigner(sign.ES256, key, sign.Options{Impl: impl}))(t)
	signer := must(sigpool.NewSigner(batch, engine.OnlineConfig{}))(t)
	verifier := must(sigpool.NewVerifier(must(sign.NewVerifier(sign.VerifierOptions{Impl: verifierOf(impl)}))(t), engine.OnlineConfig{}))(t)
	t.Cleanup(func() {
		verifier.Close()
		signer.Close()
		batch.Close()
	})
	return verifier, signer
}

// publicKeyOps are operations with public and private keys by crypto/ecdsa, one
// at a time: what a role has to be held against.
type publicKeyOps struct {
	key            *ecdsa.PrivateKey
	digest         []byte
	sig            []byte
	verify, signed int
	generated      int
	parallel       int // how many rounds go on at a time when they are measured
	// agreed is how many keys are agreed upon, by agree.
	agreed int
	agree  func() error
}

func newPublicKeyOps(t testing.TB, verify, signed, generated, parallel int) *publicKeyOps {
	t.Helper()
	key := newKey(t).(*ecdsa.PrivateKey)
	digest := sha256.Sum256([]byte("what is signed"))
	return &publicKeyOps{key: key, digest: digest[:], sig: must(ecdsa.SignASN1(rand.Reader, key, digest[:]))(t),
		verify: verify, signed: signed, generated: generated, parallel: parallel}
}

// measure returns the processor time of one round of the operations. A server
// that has all processors at work is held against as many rounds at a time: two
// that share a core slow each other down.
func (o *publicKeyOps) measure(t testing.TB) time.Duration {
	t.Helper()
	const rounds = 128
	before := CPUTime()
	var all sync.WaitGroup
	for range o.parallel {
		all.Go(func() {
			for range rounds {
				if err := o.round(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return (CPUTime() - before) / time.Duration(rounds*o.parallel)
}

func (o *publicKeyOps) round() error {
	for range o.verify {
		if !ecdsa.VerifyASN1(&o.key.PublicKey, o.digest, o.sig) {
			return sign.ErrSignature
		}
	}
	for range o.signed {
		if _, err := ecdsa.SignASN1(rand.Reader, o.key, o.digest); err != nil {
			return err
		}
	}
	for range o.generated {
		if _, err := ecdsa.GenerateKey(o.key.Curve, rand.Reader); err != nil {
			return err
		}
	}
	for range o.agreed {
		if err := o.agree(); err != nil {
			return err
		}
	}
	return nil
}

// verifierOf is what verifies beside a signer's implementation: portable signs
// alone.
func verifierOf(impl string) string {
	if slices.Contains(sign.VerifierImplementations(), impl) {
		return impl
	}
	return "std"
}
