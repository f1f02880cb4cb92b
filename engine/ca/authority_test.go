package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
)

func TestRootOfEveryKind(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(string(kind), func(t *testing.T) {
			cert := newRoot(t, kind).Certificate()
			id := must[[]byte](t)(sign.KeyIdentifier(cert.PublicKey))
			if !bytes.Equal(cert.SubjectKeyId, id) || !bytes.Equal(cert.AuthorityKeyId, id) || len(id) != 20 {
				t.Errorf("key identifiers %x and %x, want %x", cert.SubjectKeyId, cert.AuthorityKeyId, id)
			}
			if !cert.IsCA || cert.MaxPathLen != 0 || !cert.MaxPathLenZero || cert.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
				t.Errorf("CA %v, path length %d, key usage %b", cert.IsCA, cert.MaxPathLen, cert.KeyUsage)
			}
			for _, oid := range []string{oidKeyUsage, oidBasicConstraints} {
				if _, critical, found := extension(cert, oid); !critical || !found {
					t.Errorf("extension %s is not critical", oid)
				}
			}
			if !cert.NotBefore.Equal(begin) || !cert.NotAfter.Equal(end) || cert.Subject.String() != "CN=Test CA,O=Example" {
				t.Errorf("%s from %v to %v", cert.Subject, cert.NotBefore, cert.NotAfter)
			}
			if err := cert.CheckSignatureFrom(cert); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRootPathLength(t *testing.T) {
	for _, n := range []int{-1, 0, 2} {
		root := must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: "CA", Key: newKey(t, ca.P256), NotBefore: begin, NotAfter: ca.NoExpiry(), PathLen: n}, ca.Options{}))
		if got := root.Certificate(); got.MaxPathLen != n || !got.NotAfter.Equal(ca.NoExpiry()) {
			t.Errorf("path length %d until %v, want %d", got.MaxPathLen, got.NotAfter, n)
		}
	}
}

func TestRootRefusals(t *testing.T) {
	key := newKey(t, ca.P256)
	p224 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	ed448 := must[crypto.Signer](t)(sign.GenerateKey(sign.Ed448, nil))
	good := ca.RootParams{CommonName: "CA", Key: key, NotBefore: begin, NotAfter: end}
	tests := []struct {
		name   string
		change func(*ca.RootParams)
		kind   error
	}{
		{"no key", func(p *ca.RootParams) { p.Key = nil }, ca.ErrAuthority},
		{"P-224", func(p *ca.RootParams) { p.Key = p224 }, ca.ErrKey},
		{"Ed448", func(p *ca.RootParams) { p.Key = ed448 }, ca.ErrKey},
		{"path length", func(p *ca.RootParams) { p.PathLen = -2 }, ca.ErrAuthority},
		{"no name", func(p *ca.RootParams) { p.CommonName = "" }, ca.ErrName},
		{"long name", func(p *ca.RootParams) { p.CommonName = strings.Repeat("n", 65) }, ca.ErrName},
		{"long organisation", func(p *ca.RootParams) { p.Organization = strings.Repeat("ö", 65) }, ca.ErrName},
		{"control character", func(p *ca.RootParams) { p.CommonName = "a\nb" }, ca.ErrName},
		{"not UTF-8", func(p *ca.RootParams) { p.CommonName = "\xff" }, ca.ErrName},
		{"no begin", func(p *ca.RootParams) { p.NotBefore = time.Time{} }, ca.ErrValidity},
		{"ends first", func(p *ca.RootParams) { p.NotAfter = begin }, ca.ErrValidity},
		{"within a second", func(p *ca.RootParams) { p.NotAfter = begin.Add(999 * time.Millisecond) }, ca.ErrValidity},
		{"year 10000", func(p *ca.RootParams) { p.NotAfter = ca.NoExpiry().Add(time.Second) }, ca.ErrValidity},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := good
			test.change(&p)
			_, err := ca.NewRoot(p, ca.Options{})
			wantKind(t, err, test.kind)
		})
	}
	if _, err := ca.NewRoot(good, ca.Options{}); err != nil {
		t.Error(err)
	}
}

// certificate makes a self-signed certificate by crypto/x509 alone.
func certificate(t *testing.T, key crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "foreign"}, NotBefore: begin, NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	change(template)
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return must[*x509.Certificate](t)(x509.ParseCertificate(der))
}

func TestNewTakesOnlyAuthorities(t *testing.T) {
	key, stranger := newKey(t, ca.P256), newKey(t, ca.P256)
	small := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	good := certificate(t, key, func(*x509.Certificate) {})
	if _, err := ca.New(good, key, ca.Options{}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cert *x509.Certificate
		key  crypto.Signer
	}{
		{"no certificate", nil, key},
		{"a template", &x509.Certificate{IsCA: true}, key},
		{"no key", good, nil},
		{"another's key", good, stranger},
		{"a small key", certificate(t, small, func(*x509.Certificate) {}), small},
		{"no CA", certificate(t, key, func(c *x509.Certificate) { c.IsCA, c.SubjectKeyId = false, []byte{1} }), key},
		{"no basic constraints", certificate(t, key, func(c *x509.Certificate) { c.BasicConstraintsValid, c.SubjectKeyId = false, []byte{1} }), key},
		{"no key usage", certificate(t, key, func(c *x509.Certificate) { c.KeyUsage = 0 }), key},
		{"no keyCertSign", certificate(t, key, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature }), key},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ca.New(test.cert, test.key, ca.Options{})
			wantKind(t, err, ca.ErrAuthority)
		})
	}
}

func TestNewContinuesAnAuthority(t *testing.T) {
	key := newKey(t, ca.P384)
	root := must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: "CA", Key: key, NotBefore: begin, NotAfter: end}, ca.Options{}))
	text := must[[]byte](t)(sign.MarshalKeyPEM(key, nil))
	certs := must[[]*x509.Certificate](t)(sign.LoadCertificates(ca.ChainPEM(root.Certificate())))
	again := must[*ca.Authority](t)(ca.New(certs[0], must[crypto.Signer](t)(sign.LoadKey(text, nil)), ca.Options{}))
	signer := must[*x509.Certificate](t)(again.VoucherSigner(entity(t, ca.P256)))
	isEndEntity(t, root, signer)
	if chain, err := sign.LoadChain(ca.ChainPEM(signer, root.Certificate())); err != nil || len(chain) != 2 {
		t.Errorf("%d certificates: %v", len(chain), err)
	}
}

func TestValidityIsTheAuthoritys(t *testing.T) {
	root := newRoot(t, ca.P256)
	tests := []struct {
		name               string
		from, to           time.Time
		wantFrom, wantTo   time.Time
		refused, refusedID bool // for others than IDevIDs, and for those
	}{
		{"inside", noon, noon.AddDate(1, 0, 0), noon, noon.AddDate(1, 0, 0), false, false},
		{"cut to seconds", noon.Add(time.Millisecond), noon.Add(1999 * time.Millisecond), noon, noon.Add(time.Second), false, false},
		{"another time zone", noon.In(time.FixedZone("", 3600)), end, noon, end, false, false},
		{"begins before it", begin.Add(-time.Hour), noon, begin, noon, false, false},
		{"outlives it", noon, ca.NoExpiry(), noon, end, false, false},
		{"over before it began", begin.Add(-2 * time.Hour), begin.Add(-time.Hour), begin, noon, true, true},
		{"begins after it", end, ca.NoExpiry(), end, end, true, true},
		{"backwards", noon, begin, noon, noon, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := entity(t, ca.P256)
			p.NotBefore, p.NotAfter = test.from, test.to
			cert, err := root.TLSClient(p)
			idevid, errID := root.IDevID(ca.IDevIDParams{SerialNumber: "1", PublicKey: p.PublicKey, NotBefore: test.from, NotAfter: test.to})
			if test.refused {
				wantKind(t, err, ca.ErrValidity)
			} else if err != nil || !cert.NotBefore.Equal(test.wantFrom) || !cert.NotAfter.Equal(test.wantTo) {
				t.Errorf("from %v to %v (%v), want %v to %v", cert.NotBefore, cert.NotAfter, err, test.wantFrom, test.wantTo)
			}
			if test.refusedID {
				wantKind(t, errID, ca.ErrValidity)
			} else if errID != nil || !idevid.NotAfter.Equal(test.to.Truncate(time.Second)) {
				t.Errorf("an IDevID until %v (%v)", idevid.NotAfter, errID)
			}
		})
	}
}

func TestNothingForTheAuthorityItself(t *testing.T) {
	key := newKey(t, ca.P256)
	root := must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: "CA", Key: key, NotBefore: begin, NotAfter: end}, ca.Options{}))
	p := entity(t, ca.P256)
	p.Names, p.PublicKey = serverNames, key.Public()
	_, err := root.Registrar(p)
	wantKind(t, err, ca.ErrKey)
	_, err = root.LDevID(ca.LDevIDParams{RawSubject: root.Certificate().RawSubject, PublicKey: newKey(t, ca.P256).Public(), NotBefore: noon, NotAfter: end})
	wantKind(t, err, ca.ErrName)
	p.PublicKey, p.CommonName, p.Organization = newKey(t, ca.P256).Public(), "CA", ""
	_, err = root.Registrar(p)
	wantKind(t, err, ca.ErrName)
}

// A liar is a key whose signatures are not its own.
type liar struct{ crypto.Signer }

func (l liar) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return []byte{0x30, 6, 2, 1, 1, 2, 1, 1}, nil
}

// A broken key does not sign at all.
type broken struct{ crypto.Signer }

var errBroken = errors.New("token removed")

func (b broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errBroken }

func TestSigningFailures(t *testing.T) {
	key := newKey(t, ca.P256)
	root := must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: "CA", Key: key, NotBefore: begin, NotAfter: end}, ca.Options{}))
	tests := []struct {
		name  string
		key   crypto.Signer
		rand  io.Reader
		cause error
	}{
		{"wrong signatures", liar{key}, nil, ca.ErrSigning},
		{"no signatures", broken{key}, nil, errBroken},
		{"no randomness", key, bytes.NewReader(make([]byte, 19)), io.ErrUnexpectedEOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := must[*ca.Authority](t)(ca.New(root.Certificate(), test.key, ca.Options{Rand: test.rand}))
			_, err := a.TLSClient(entity(t, ca.P256))
			wantKind(t, err, ca.ErrSigning)
			if !errors.Is(err, test.cause) {
				t.Errorf("error %v, want cause %v", err, test.cause)
			}
		})
	}
	a := must[*ca.Authority](t)(ca.New(root.Certificate(), broken{key}, ca.Options{}))
	_, err := a.RevocationList(nil, big.NewInt(1), noon, end)
	wantKind(t, err, ca.ErrSigning)
}

func TestSameRandomnessSameCertificate(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(string(kind), func(t *testing.T) {
			key, subject := newKey(t, kind), entity(t, ca.P256)
			subject.Names = serverNames
			var certs [2][]byte
			for i := range certs {
				a := must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: "CA", Key: key, NotBefore: begin, NotAfter: end}, ca.Options{Rand: mathrand.NewChaCha8([32]byte{7})}))
				certs[i] = must[*x509.Certificate](t)(a.Registrar(subject)).Raw
			}
			if !bytes.Equal(certs[0], certs[1]) {
				t.Error("two certificates")
			}
		})
	}
}

func TestConcurrentIssuing(t *testing.T) {
	const workers, each = 8, 25
	root := must[*ca.Authority](t)(ca.NewRoot(ca.RootParams{CommonName: "CA", Key: newKey(t, ca.P256), NotBefore: begin, NotAfter: end},
		ca.Options{Rand: mathrand.NewChaCha8([32]byte{1})}))
	pub := newKey(t, ca.P256).Public()
	var serials sync.Map
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				cert, err := root.IDevID(ca.IDevIDParams{SerialNumber: "A-1", PublicKey: pub, NotBefore: noon})
				if err == nil {
					err = cert.CheckSignatureFrom(root.Certificate())
				}
				if err != nil {
					t.Error(err)
					return
				}
				if _, twice := serials.LoadOrStore(cert.SerialNumber.String(), true); twice {
					t.Errorf("serial number %x twice", cert.SerialNumber)
				}
				if _, err := root.RevocationList([]ca.Revoked{{Serial: cert.SerialNumber, At: noon}}, big.NewInt(1), noon, end); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
