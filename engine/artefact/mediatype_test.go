package artefact_test

import (
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
)

const cms, jws = codec.FormatCMS, codec.FormatJWS

func TestContentTypeNamesTheEnvelope(t *testing.T) {
	for field, want := range map[string]codec.Format{
		"application/voucher-cms+json":                cms,
		"application/voucher-jws+json":                jws,
		"Application/Voucher-CMS+JSON; charset=utf-8": cms,
		"": 0, "application/json": 0, "text/json": 0, "application/voucher+cose": 0, "application/voucher-cms+jsonx": 0,
		strings.Repeat("application/voucher-cms+json", 1000): 0,
	} {
		got, err := artefact.FormatOf(field, cms, jws)
		if got != want {
			t.Errorf("%.60q: %v, want %v", field, got, want)
		}
		if want == 0 {
			wantKind(t, err, decision.ContentType)
		}
	}
}

// RFC 9110 §12.5.1, and the reading that wildcards mean the request's own type.
func TestAcceptNamesTheAnswer(t *testing.T) {
	for _, c := range []struct {
		accept  string
		request codec.Format
		want    codec.Format
	}{
		{"", cms, cms}, {"", jws, jws}, {"*/*", jws, jws}, {"application/*", jws, jws},
		{"application/voucher-jws+json", cms, jws},
		{"application/voucher-jws+json, application/voucher-cms+json", cms, cms},
		{"application/voucher-jws+json;q=0.9, application/voucher-cms+json;q=0.1", cms, jws},
		{"application/voucher-jws+json;q=0.5, */*;q=0.6", jws, cms},
		{"application/voucher-cms+json;q=0, */*", cms, jws},
		{"text/html, application/voucher-cms+json", jws, cms},
		{"application/voucher-cms+json; charset=utf-8", cms, cms},
		{"text/html", cms, 0}, {"application/voucher-cms+json;q=0", cms, 0}, {"*/*;q=0", cms, 0},
		{"application/voucher+cose", cms, 0},
		{"application/voucher-cms+json;q=2", cms, 0}, {"application/voucher-cms+json;q=NaN", cms, 0}, {"/", cms, 0},
		{strings.Repeat("a/b,", 65), cms, 0}, {strings.Repeat(" ", 5000), cms, 0},
	} {
		got, err := artefact.Negotiate(c.accept, c.request, cms, jws)
		if got != c.want {
			t.Errorf("%.60q to a %v request: %v, want %v", c.accept, c.request, got, c.want)
		}
		if c.want == 0 {
			wantKind(t, err, decision.NotAcceptable)
		}
	}
}

func TestAcceptsOtherTypes(t *testing.T) {
	for accept, want := range map[string]bool{"": true, "application/json": true, "*/*": true, "text/plain": false, "application/json;q=0": false, "/": false} {
		if artefact.Accepts(accept, "application/json") != want {
			t.Errorf("%q: %t", accept, !want)
		}
	}
}
