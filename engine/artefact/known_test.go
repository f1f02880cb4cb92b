package artefact_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/sign"
)

// keys notes which prepared keys a verifier is asked about.
type keys struct {
	artefact.Verifier
	seen map[*sign.PublicKey]bool
}

func (k *keys) Verify(ctx context.Context, key *sign.PublicKey, input, signature []byte) error {
	k.seen[key] = true
	return k.Verifier.Verify(ctx, key, input, signature)
}

func testKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// cmsSealer signs with a key under its certificate and those above it.
func cmsSealer(t *testing.T, key crypto.Signer, chain ...*x509.Certificate) *artefact.Sealer {
	t.Helper()
	signer, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := artefact.NewSealer(artefact.SealerParams{Format: codec.FormatCMS, Signer: artefact.Signing(signer), Chain: chain})
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// requestsOf makes a registrar's requests, each with another serial number.
func requestsOf(t *testing.T, n int) [][]byte {
	t.Helper()
	root, err := ca.NewRoot(ca.RootParams{CommonName: "Domain", Key: testKey(t), NotBefore: spring2021, NotAfter: spring2021.AddDate(10, 0, 0), PathLen: -1}, ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := testKey(t)
	names := ca.ServerNames{DNS: []string{"registrar.example.com"}}
	leaf, err := root.Registrar(ca.EntityParams{CommonName: "Registrar", PublicKey: key.Public(), NotBefore: spring2021, NotAfter: spring2021.AddDate(1, 0, 0), Names: names})
	if err != nil {
		t.Fatal(err)
	}
	sealer := cmsSealer(t, key, leaf, root.Certificate())
	var out [][]byte
	for i := range n {
		body, err := sealer.Request(t.Context(), &codec.VoucherRequest{Voucher: codec.Voucher{SerialNumber: fmt.Appendf(nil, "SN-%d", i), Nonce: []byte("a nonce, 16 octs")}})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, body)
	}
	return out
}

func TestAPeerWhoComesAgainIsKnown(t *testing.T) {
	o := opener(t)
	verifier := &keys{o.Verifier, map[*sign.PublicKey]bool{}}
	o.Verifier, o.Known = verifier, new(artefact.Known)
	bodies := requestsOf(t, 3)
	var first *artefact.Request
	for i, body := range bodies {
		r, err := o.Request(t.Context(), codec.FormatCMS, body)
		if err != nil {
			t.Fatal(err)
		}
		if string(r.Leaves.SerialNumber) != fmt.Sprintf("SN-%d", i) || len(r.Certificates) != 2 {
			t.Errorf("request %d: %q, %d certificates", i, r.Leaves.SerialNumber, len(r.Certificates))
		}
		if first == nil {
			first = r
		} else if r.Signer != first.Signer || r.Certificates[1] != first.Certificates[1] {
			t.Errorf("request %d: its certificates were parsed again", i)
		}
		clear(body) // what is remembered must not refer to it
	}
	if len(verifier.seen) != 1 {
		t.Errorf("%d keys were prepared", len(verifier.seen))
	}
	again := requestsOf(t, 1)[0]
	if r, err := o.Request(t.Context(), codec.FormatCMS, again); err != nil || r.Signer == first.Signer {
		t.Errorf("another registrar: %v", err)
	}
}

func TestOnlyWhoSignedIsRemembered(t *testing.T) {
	o := opener(t)
	verifier := &keys{o.Verifier, map[*sign.PublicKey]bool{}}
	o.Verifier, o.Known = verifier, new(artefact.Known)
	body := requestsOf(t, 1)[0]
	forged := append([]byte{}, body...)
	forged[len(forged)-1] ^= 1
	for range 2 {
		_, err := o.Request(t.Context(), codec.FormatCMS, forged)
		wantKind(t, err, decision.BadSignature)
	}
	if len(verifier.seen) != 2 {
		t.Error("the key of a forged request was remembered")
	}
	if _, err := o.Request(t.Context(), codec.FormatCMS, body); err != nil {
		t.Fatal(err)
	}
	_, err := o.Request(t.Context(), codec.FormatCMS, forged)
	wantKind(t, err, decision.BadSignature)
}

// Strangers cannot make it grow, nor drive out a peer who keeps coming.
func TestWhatIsKnownIsBounded(t *testing.T) {
	o := opener(t)
	o.Known = new(artefact.Known)
	regular := requestsOf(t, 1)[0]
	open := func(body []byte) *artefact.Request {
		t.Helper()
		r, err := o.Request(t.Context(), codec.FormatCMS, append([]byte{}, body...))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	signer := open(regular).Signer
	stranger := requestsOf(t, 1)[0]
	passing := open(stranger).Signer
	for i := range 600 { // two certificates each
		open(requestsOf(t, 1)[0])
		if i%100 == 0 && open(regular).Signer != signer {
			t.Fatalf("a regular peer was forgotten after %d strangers", i)
		}
	}
	if open(stranger).Signer == passing {
		t.Error("a stranger of 600 strangers ago is still known")
	}
}

// vouchersOf makes vouchers by one signer, and returns the anchor over it, which
// expires in 2031; the signer does in 2022.
func vouchersOf(t *testing.T, n int) (*x509.Certificate, [][]byte) {
	t.Helper()
	root, err := ca.NewRoot(ca.RootParams{CommonName: "Vouchers", Key: testKey(t), NotBefore: spring2021, NotAfter: spring2021.AddDate(10, 0, 0), PathLen: -1}, ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := testKey(t)
	leaf, err := root.VoucherSigner(ca.EntityParams{CommonName: "Signer", PublicKey: key.Public(), NotBefore: spring2021, NotAfter: spring2021.AddDate(1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	sealer := cmsSealer(t, key, leaf, root.Certificate())
	var out [][]byte
	for i := range n {
		body, err := sealer.Voucher(t.Context(), &codec.Voucher{SerialNumber: fmt.Appendf(nil, "SN-%d", i), CreatedOn: spring2021, Assertion: codec.AssertionLogged,
			Nonce: []byte("a nonce, 16 octs"), PinnedDomainCert: leaf.Raw}, false)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, body)
	}
	return root.Certificate(), out
}

// TestAPathIsFoundOnceAndJudgedEachTime: the second voucher of a signer costs no
// search, and is refused when its anchor is gone or the path has expired.
func TestAPathIsFoundOnceAndJudgedEachTime(t *testing.T) {
	anchor, bodies := vouchersOf(t, 3)
	stranger, _ := vouchersOf(t, 0)
	o := opener(t)
	o.Known = new(artefact.Known)
	at := spring2021.AddDate(0, 6, 0)
	open := func(body []byte, trust artefact.Trust) (*artefact.Voucher, error) {
		return o.Voucher(t.Context(), codec.FormatCMS, append([]byte{}, body...), trust)
	}
	first, err := open(bodies[0], artefact.Trust{Anchors: []*x509.Certificate{anchor}, At: at})
	if err != nil {
		t.Fatal(err)
	}
	again, err := x509.ParseCertificate(anchor.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, trust := range map[string]artefact.Trust{
		"the same anchor":         {Anchors: []*x509.Certificate{anchor}, At: at},
		"the anchor parsed again": {Anchors: []*x509.Certificate{stranger, again}, At: at},
		"at any time":             {Anchors: []*x509.Certificate{anchor}, AnyTime: true},
	} {
		if v, err := open(bodies[1], trust); err != nil || &v.Path[0] != &first.Path[0] {
			t.Errorf("%s: error %v, or the path was searched for again", name, err)
		}
	}
	for name, trust := range map[string]artefact.Trust{
		"another anchor":  {Anchors: []*x509.Certificate{stranger}, At: at},
		"no anchor":       {At: at},
		"expired":         {Anchors: []*x509.Certificate{anchor}, At: spring2021.AddDate(1, 0, 1)},
		"not yet":         {Anchors: []*x509.Certificate{anchor}, At: spring2021.AddDate(0, 0, -1)},
		"no time at all":  {Anchors: []*x509.Certificate{anchor}},
		"enclosed or not": {Anchors: []*x509.Certificate{stranger}, At: at, Enclosed: true},
	} {
		if _, err := open(bodies[2], trust); !decision.Is(err, decision.BadSignature) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if v, err := open(bodies[2], artefact.Trust{Enclosed: true, At: at}); err != nil || v.Path != nil {
		t.Errorf("enclosed: error %v, path of %d", err, len(v.Path))
	}
	if v, err := open(bodies[2], artefact.Trust{Anchors: []*x509.Certificate{anchor}, At: at}); err != nil || &v.Path[0] != &first.Path[0] {
		t.Errorf("after all that: error %v, or the path was forgotten", err)
	}
}

func TestCertificatesThatAreParsedAreNotParsedAgain(t *testing.T) {
	anchor, bodies := vouchersOf(t, 1)
	o := opener(t)
	o.Parsed = []*x509.Certificate{anchor}
	v, err := o.Voucher(t.Context(), codec.FormatCMS, bodies[0], artefact.Trust{Anchors: []*x509.Certificate{anchor}, At: spring2021})
	if err != nil || len(v.Certificates) != 2 || v.Certificates[1] != anchor {
		t.Errorf("error %v, certificates %v", err, v.Certificates)
	}
	stranger, _ := vouchersOf(t, 0)
	o.Parsed = []*x509.Certificate{anchor, v.Signer}
	_, err = o.Voucher(t.Context(), codec.FormatCMS, bodies[0], artefact.Trust{Anchors: []*x509.Certificate{stranger}, At: spring2021})
	wantKind(t, err, decision.BadSignature)
}
