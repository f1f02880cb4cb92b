package fuzz

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/sign"
)

// agreeable is a Verifier to which every signature fits, so that what stands
// behind the check is reached by octets that nobody signed.
type agreeable struct{}

func (agreeable) Verify(context.Context, *sign.PublicKey, []byte, []byte) error { return nil }

// FuzzOpen holds, for whatever a stranger may send as an artefact: it is opened
// or refused with a kind and a public text, and it is opened under a real
// verifier only where an agreeable one opens it to the same.
func FuzzOpen(f *testing.F) {
	seeds(f, "cms", "jws", "cose")
	vectorSeeds(f, ".cms.der", ".jws.json")
	batch, err := sign.NewVerifier(sign.VerifierOptions{})
	must(f, err)
	strict := &artefact.Opener{Verifier: artefact.Verifying(batch)}
	lax := &artefact.Opener{Verifier: agreeable{}}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS, codec.FormatCOSE} {
			openRequest(t, strict, lax, format, body)
			openVoucher(t, lax, format, body)
		}
	})
}

func openRequest(t *testing.T, strict, lax *artefact.Opener, format codec.Format, body []byte) {
	t.Helper()
	r, err := lax.Request(t.Context(), format, body)
	opened(t, err, r != nil)
	if r != nil {
		described(t, &r.Envelope)
		must(t, r.Leaves.Validate(codec.Rules{}))
	}
	s, err := strict.Request(t.Context(), format, body)
	opened(t, err, s != nil)
	if s != nil && (r == nil || !r.Signer.Equal(s.Signer)) {
		t.Fatal("opened under a real verifier alone")
	}
}

func openVoucher(t *testing.T, lax *artefact.Opener, format codec.Format, body []byte) {
	t.Helper()
	at := time.Unix(1_700_000_000, 0)
	v, err := lax.Voucher(t.Context(), format, body, artefact.Trust{Enclosed: true, At: at})
	opened(t, err, v != nil)
	if v == nil {
		return
	}
	described(t, &v.Envelope)
	must(t, v.Leaves.Validate(codec.Rules{}))
	if _, err := lax.Voucher(t.Context(), format, body, artefact.Trust{At: at}); err == nil {
		t.Fatal("a voucher is believed without an anchor")
	}
	path, err := artefact.Path(v.Signer, v.Certificates, v.Signer.NotBefore)
	if opened(t, err, path != nil); err == nil && !path[0].Equal(v.Signer) {
		t.Fatal("the path does not begin with the signer")
	}
}

// opened holds what every outcome has.
func opened(t *testing.T, err error, ok bool) {
	t.Helper()
	if ok == (err != nil) {
		t.Fatalf("opened %t with error %v", ok, err)
	}
	var r *decision.Refusal
	if err != nil && (!errors.As(err, &r) || r.Kind.Public() == "refused" || r.Public == "" || r.Operator == "") {
		t.Fatalf("refused as %#v", err)
	}
}

func described(t *testing.T, e *artefact.Envelope) {
	t.Helper()
	if e.Signer == nil || !slices.ContainsFunc(e.Certificates, func(c *x509.Certificate) bool { return c.Equal(e.Signer) }) {
		t.Fatal("the signer is not among the certificates")
	}
}

// FuzzAccept holds that negotiation answers in a served format or refuses.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"", "*/*", "application/voucher-jws+json;q=0.5, application/*", "application/voucher-cms+json;q=0", "a/b;q=1.5", ";;,,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		for _, request := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
			got, err := artefact.Negotiate(accept, request, codec.FormatCMS, codec.FormatJWS)
			if err != nil {
				opened(t, err, false)
			} else if got != codec.FormatCMS && got != codec.FormatJWS {
				t.Fatalf("answer in %v", got)
			}
			if (err == nil) != (artefact.Accepts(accept, codec.FormatCMS.MediaType()) || artefact.Accepts(accept, codec.FormatJWS.MediaType())) {
				t.Fatalf("Negotiate says %v, Accepts the opposite", err)
			}
		}
		if f, err := artefact.FormatOf(accept, codec.FormatCMS); err == nil && f != codec.FormatCMS {
			t.Fatalf("content type of %v", f)
		}
	})
}
