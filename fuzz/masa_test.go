package fuzz

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// A signatory is a key with its chain.
type signatory struct {
	chain  []*x509.Certificate
	signer artefact.Signer
}

func newSignatory(t testing.TB, key crypto.Signer, chain ...*x509.Certificate) *signatory {
	t.Helper()
	s, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	must(t, err)
	return &signatory{chain, artefact.Signing(s)}
}

// seal signs a payload, whatever it says.
func (s *signatory) seal(t testing.TB, format codec.Format, payload []byte) []byte {
	t.Helper()
	alg := s.signer.Algorithm()
	var chain [][]byte
	for _, c := range s.chain {
		chain = append(chain, c.Raw)
	}
	encoder, err := codec.NewEnvelopeEncoder(codec.EnvelopeParams{Format: format, Algorithm: artefact.AlgorithmID(alg), Chain: chain})
	must(t, err)
	message := encoder.AppendSigned1(nil, payload)
	var content []byte
	if format == codec.FormatCMS {
		content = alg.Hash.Append(nil, message)
		message = slices.Concat(encoder.AttributesPrefix(), content)
	}
	signature, err := s.signer.Sign(context.Background(), alg.Hash.Append(nil, message))
	must(t, err)
	out, err := encoder.AppendEnvelope(nil, payload, content, signature)
	must(t, err)
	return out
}

// An authority is a MASA with one device, and the registrar that the device saw.
type authority struct {
	service                   *masa.Service
	voucherCA, domainCA       *x509.Certificate
	registrar, device, signer *signatory
}

const vouchedSerial = "S-1"

// newAuthority has the same keys and certificates in every process, so that a
// request among the seeds is good in all of them.
func newAuthority(t testing.TB) *authority {
	t.Helper()
	maker, domain := fixedAuthority(t, "Maker", 1001), fixedAuthority(t, "Domain", 1002)
	a := &authority{voucherCA: maker.Certificate(), domainCA: domain.Certificate()}
	params := ca.EntityParams{CommonName: "MASA", PublicKey: fixedKey(t, 1003).Public(), NotBefore: boxMade.AddDate(0, 0, -1), NotAfter: boxMade.AddDate(1, 0, 0)}
	cert, err := maker.VoucherSigner(params)
	must(t, err)
	a.signer = newSignatory(t, fixedKey(t, 1003), cert, a.voucherCA)
	params.CommonName, params.PublicKey, params.Names.DNS = "Registrar", fixedKey(t, 1004).Public(), []string{"registrar.example"}
	cert, err = domain.Registrar(params)
	must(t, err)
	a.registrar = newSignatory(t, fixedKey(t, 1004), cert, a.domainCA)
	cert, err = maker.IDevID(ca.IDevIDParams{SerialNumber: vouchedSerial, PublicKey: fixedKey(t, 1005).Public(), NotBefore: boxMade.AddDate(0, -1, 0)})
	must(t, err)
	a.device = newSignatory(t, fixedKey(t, 1005), cert)

	key, _, err := audit.GenerateKey(rand.Reader, "masa.example/log")
	must(t, err)
	heads, err := audit.NewSigner(key)
	must(t, err)
	log, err := audit.New(heads, rand.Reader)
	must(t, err)
	a.service, err = masa.New(masa.Config{DB: state.NewMemory(), Log: log, Verifier: artefact.Verifying(registrarVerifier(t)), Signer: a.signer.signer, Chain: a.signer.chain,
		Manufacturers: []device.Manufacturer{{Name: "maker", Anchors: []*x509.Certificate{a.voucherCA}}}})
	must(t, err)
	devices, err := list.NewReader(bytes.NewReader(cert.Raw), list.Options{})
	must(t, err)
	done, err := a.service.ImportDevices(context.Background(), devices, masa.ImportOptions{Now: boxMade})
	must(t, err)
	same(t, "devices on record", done.New, uint64(1))
	must(t, a.service.AddCustomer(context.Background(), masa.Customer{Name: "acme", Anchors: []*x509.Certificate{a.domainCA}, Nonceless: true}, boxMade))
	owned, err := list.NewReader(strings.NewReader("serial-number\n"+vouchedSerial+"\n"), list.Options{})
	must(t, err)
	_, err = a.service.Own(context.Background(), "acme", owned, masa.ImportOptions{Now: boxMade})
	must(t, err)
	return a
}

// payloads are those of a good pair of requests.
func (a *authority) payloads(t testing.TB) (request, pledge []byte) {
	t.Helper()
	q := codec.VoucherRequest{Voucher: codec.Voucher{CreatedOn: boxMade, Assertion: codec.AssertionProximity, SerialNumber: []byte(vouchedSerial), Nonce: []byte("0123456789abcdef")}}
	request, err := codec.AppendRequestJSON(nil, &q)
	must(t, err)
	q.ProximityRegistrarCert = a.registrar.chain[0].Raw
	pledge, err = codec.AppendRequestJSON(nil, &q)
	must(t, err)
	return request, pledge
}

// around puts a pledge's request into a registrar's payload, where that is one.
func (a *authority) around(t testing.TB, format codec.Format, request, pledge []byte) []byte {
	t.Helper()
	var q codec.VoucherRequest
	decoder := codec.PayloadDecoder{Unknown: codec.KeepUnknown}
	if decoder.RequestJSON(request, &q) != nil {
		return request
	}
	q.Unknown = nil
	q.PriorSignedVoucherRequest = a.device.seal(t, format, pledge)
	payload, err := codec.AppendRequestJSON(nil, &q)
	if err != nil {
		return request
	}
	return payload
}

// asked sends a request to both operations, and holds what an answer must be: a
// voucher for the device on record, with the nonce of the request, pinned to the
// CA of whoever signed it, and only for a request that is signed.
func (a *authority) asked(t *testing.T, format codec.Format, body []byte) (issued bool) {
	t.Helper()
	r := &exchange.Request{Now: boxMade, ContentType: format.MediaType(), Body: body}
	answer, err := a.service.RequestVoucher(t.Context(), r)
	issued = decided(t, answer, err)
	log, err := a.service.RequestAuditLog(t.Context(), r)
	decided(t, log, err)
	if !issued {
		return false
	}
	opener := &artefact.Opener{Verifier: artefact.Verifying(registrarVerifier(t))}
	q, err := opener.Request(t.Context(), format, body)
	must(t, err)
	v, err := opener.Voucher(t.Context(), format, answer.Body, artefact.Trust{Anchors: []*x509.Certificate{a.voucherCA}, At: boxMade})
	must(t, err)
	same(t, "serial number", string(v.Leaves.SerialNumber), vouchedSerial)
	same(t, "nonce", string(v.Leaves.NonceText), string(q.Leaves.NonceText))
	pin, err := x509.ParseCertificate(v.Leaves.PinnedDomainCert)
	must(t, err)
	if _, err := sign.VerifyChain(q.Signer, sign.ChainOptions{Roots: []*x509.Certificate{pin}, Intermediates: q.Certificates, At: boxMade}); err != nil {
		t.Fatalf("pinned is %q, which did not issue the signer: %v", pin.Subject, err)
	}
	if q.Leaves.NonceText == nil && v.Leaves.ExpiresOn.IsZero() {
		t.Fatal("a voucher without nonce that never expires")
	}
	return true
}

// FuzzMASARequest holds the MASA to that for whatever octets a stranger sends.
func FuzzMASARequest(f *testing.F) {
	vectorSeeds(f, ".cms.der", ".jws.json")
	a := newAuthority(f)
	request, pledge := a.payloads(f)
	for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
		f.Add(a.registrar.seal(f, format, a.around(f, format, request, pledge)))
		f.Add(a.registrar.seal(f, format, request))
		f.Add(a.device.seal(f, format, pledge))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a.asked(t, codec.FormatCMS, body)
		a.asked(t, codec.FormatJWS, body)
	})
}

// FuzzMASAPayload holds it to that for whatever a registrar and a device sign.
func FuzzMASAPayload(f *testing.F) {
	a := newAuthority(f)
	goodRequest, goodPledge := a.payloads(f)
	f.Add(goodRequest, goodPledge, false)
	f.Add(goodRequest, goodPledge, true)
	f.Add([]byte(`{"ietf-voucher-request:voucher":{"serial-number":"S-1"}}`), []byte(nil), false)
	f.Fuzz(func(t *testing.T, request, pledge []byte, jws bool) {
		format := codec.FormatCMS
		if jws {
			format = codec.FormatJWS
		}
		payload := request
		if len(pledge) > 0 {
			payload = a.around(t, format, request, pledge)
		}
		issued := a.asked(t, format, a.registrar.seal(t, format, payload))
		if !issued && bytes.Equal(request, goodRequest) && bytes.Equal(pledge, goodPledge) {
			t.Fatal("the good request is refused")
		}
	})
}
