package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

var formats = []codec.Format{codec.FormatCMS, codec.FormatJWS, codec.FormatCOSE}

// memory yields entries from memory.
type memory struct {
	entries  []bundle.Entry
	manifest []byte
	end      error // io.EOF unless set
}

func (m *memory) Manifest() []byte { return m.manifest }

func (m *memory) Next(e *bundle.Entry) error {
	if len(m.entries) == 0 {
		if m.end != nil {
			return m.end
		}
		return io.EOF
	}
	*e, m.entries = m.entries[0], m.entries[1:]
	return nil
}

// vouchers is a source of raw vouchers.
func vouchers(list ...[]byte) verify.Source {
	m := new(memory)
	for i, v := range list {
		m.entries = append(m.entries, bundle.Entry{Place: fmt.Sprintf("entry %d", i), Voucher: v})
	}
	return verify.Entries("memory", m)
}

// mustFail verifies one voucher and returns the one failure it has.
func mustFail(t testing.TB, cfg verify.Config, want verify.Check, voucher []byte) verify.Failure {
	t.Helper()
	cfg.Sources, cfg.Workers = []verify.Source{vouchers(voucher)}, 1
	report, failures := check(t, cfg)
	if len(failures) != 1 || failures[0].Check != want || report.OK() {
		t.Fatalf("failures %v, want one of check %s", failures, want)
	}
	return failures[0]
}

// A maker signs payloads of any content: what an issuer can do wrong.
type maker struct {
	alg   *sign.Algorithm
	key   sign.Signer
	chain []*x509.Certificate
}

func makerOf(p *fixture.PKI) *maker { return &maker{p.Signer.Algorithm(), p.Signer, p.Chain} }

// voucher is a sound one for a serial number.
func voucher(p *fixture.PKI, serial string) codec.Voucher {
	return codec.Voucher{Assertion: codec.AssertionLogged, CreatedOn: fixture.Epoch, ExpiresOn: fixture.Epoch.AddDate(1, 0, 0),
		SerialNumber: []byte(serial), PinnedDomainCert: p.Domain.Raw}
}

// sealVoucher signs a voucher.
func (m *maker) sealVoucher(t testing.TB, format codec.Format, v codec.Voucher) []byte {
	t.Helper()
	var payload []byte
	var err error
	if format == codec.FormatCOSE {
		payload, err = codec.AppendVoucherCBOR(nil, &v)
	} else {
		payload, err = codec.AppendVoucherJSON(nil, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.seal(t, format, payload, nil)
}

// seal signs any payload; change, when not nil, sees the parameters first.
func (m *maker) seal(t testing.TB, format codec.Format, payload []byte, change func(*codec.EnvelopeParams)) []byte {
	t.Helper()
	params := codec.EnvelopeParams{Format: format, Algorithm: artefact.AlgorithmID(m.alg)}
	for _, c := range m.chain {
		params.Chain = append(params.Chain, c.Raw)
	}
	if change != nil {
		change(&params)
	}
	encoder, err := codec.NewEnvelopeEncoder(params)
	if err != nil {
		t.Fatal(err)
	}
	input := encoder.AppendSigned1(nil, payload)
	var digest []byte
	if attrs := encoder.AttributesPrefix(); attrs != nil {
		digest = m.alg.Hash.Append(nil, input)
		input = append(append([]byte{}, attrs...), digest...)
	}
	if !m.alg.Message {
		input = m.alg.Hash.Append(nil, input)
	}
	sig := make([]byte, m.alg.SignatureSize)
	if err := m.key.SignBatch(sig, [][]byte{input}); err != nil {
		t.Fatal(err)
	}
	out, err := encoder.AppendEnvelope(nil, payload, digest, sig)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A ca issues certificates of any content.
type ca struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// certify makes a P-256 key and a certificate for it: of the CA, or
// self-signed where that is nil.
func (a *ca) certify(t testing.TB, name string, change func(*x509.Certificate)) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: fixture.Epoch.AddDate(-1, 0, 0), NotAfter: fixture.Epoch.AddDate(5, 0, 0), BasicConstraintsValid: true}
	if change != nil {
		change(template)
	}
	parent, signer := template, crypto.Signer(key)
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &ca{cert, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.SubjectKeyId = true, x509.KeyUsageCertSign, []byte(c.Subject.CommonName)
}

// maker signs with a certificate's key.
func (a *ca) maker(t testing.TB, above ...*ca) *maker {
	t.Helper()
	s, err := sign.NewSigner(sign.ES256, a.key, sign.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	m := &maker{sign.ES256, s, []*x509.Certificate{a.cert}}
	for _, c := range above {
		m.chain = append(m.chain, c.cert)
	}
	return m
}

// criticalUnknown is an extension nobody understands.
var criticalUnknown = pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4, 5}, Critical: true, Value: []byte{5, 0}}
