package codec

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func TestADecoderThatRemembersAHeaderReadsLikeANewOne(t *testing.T) {
	s := newTestSigner(t, "ES256")
	x5c := `"x5c":["` + base64.StdEncoding.EncodeToString(s.chain[0]) + `","` + base64.StdEncoding.EncodeToString(s.chain[1]) + `"]`
	header := `{"alg":"ES256","typ":"voucher-jws+json",` + x5c + `}`
	unknown := `{"alg":"ES256","typ":"voucher-jws+json","iat":[[[1]]],` + x5c + `}`
	commented := strings.Replace(jwsGeneral, `{"payload"`, `{"comment":1,"payload"`, 1)
	twice := strings.Replace(jwsGeneral, `]}`, `,{"protected":"PROTECTED","signature":"SIGNATURE"}]}`, 1)
	type input struct {
		jws    string
		limits Limits
	}
	var inputs []input
	for _, form := range []string{jwsGeneral, commented, twice} {
		for _, h := range []string{header, unknown, `{"alg":"ES256","typ":"voucher-jws+json","kid":"k","x5t#S256":"AAEC"}`, strings.Replace(header, "ES256", "ES384", 1),
			strings.Replace(header, "ES256", "none", 1), header[:40], strings.Replace(header, "MII", "!!!", 1)} {
			inputs = append(inputs, input{s.jws(t, form, h), Limits{}})
		}
	}
	inputs = append(inputs, input{s.jws(t, jwsGeneral, header), Limits{Certificates: 1}}, input{s.jws(t, jwsGeneral, unknown), Limits{Depth: 3}})

	read := func(d *EnvelopeDecoder, in input) string {
		var e Envelope
		d.Limits = in.limits
		if err := d.Decode([]byte(in.jws), &e); err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%q %+v %v", e.Payload, e, e.Oddities)
	}
	var used EnvelopeDecoder
	results := make(map[string]bool)
	for _, first := range inputs {
		for _, then := range inputs {
			for _, in := range []input{first, then, then} {
				got, want := read(&used, in), read(new(EnvelopeDecoder), in)
				if got != want {
					t.Fatalf("after another, %.300s\nread as %.600s\nwant    %.600s", in.jws, got, want)
				}
				results[got] = true
			}
		}
	}
	if len(results) < 12 {
		t.Errorf("only %d different results: the inputs do not tell headers apart", len(results))
	}
}

func TestOrdinaryStopsAtEachSpecialCharacterWhereverItStands(t *testing.T) {
	for length := range 40 {
		for at := range length {
			for b := range 256 {
				for _, filler := range []byte{'a', ' ', '!', '#', '[', ']', 0x7f, 0x80, 0xff} {
					s := make([]byte, length)
					for i := range s {
						s[i] = filler
					}
					s[at] = byte(b)
					want := length &^ 7
					if special := b == '"' || b == '\\' || b < 0x20; special {
						want = min(at, want)
					}
					if got := ordinary(s); got != want {
						t.Fatalf("%q: %d, want %d", s, got, want)
					}
				}
			}
		}
	}
}

func TestEachOfTwoSignersHasCertificatesOfItsOwn(t *testing.T) {
	s := newTestSigner(t, "ES256")
	header := `{"alg":"ES256","typ":"voucher-jws+json","x5c":["` + base64.StdEncoding.EncodeToString(s.chain[0]) + `","` + base64.StdEncoding.EncodeToString(s.chain[1]) + `"]}`
	twice := s.jws(t, strings.Replace(jwsGeneral, `]}`, `,{"protected":"PROTECTED","signature":"SIGNATURE"}]}`, 1), header)
	var d EnvelopeDecoder
	var e Envelope
	for _, b := range []string{twice, s.jws(t, jwsGeneral, header), twice} {
		if err := d.Decode([]byte(b), &e); err != nil {
			t.Fatal(err)
		}
		for i := range e.Signers {
			if e.Signers[i].CertIndex != 2*i || e.Signers[i].CertCount != 2 || len(e.Certificates) != 2*len(e.Signers) {
				t.Errorf("signer %d of %d: certificate %d, %d of %d", i, len(e.Signers), e.Signers[i].CertIndex, e.Signers[i].CertCount, len(e.Certificates))
			}
		}
	}
}
