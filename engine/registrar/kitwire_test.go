package registrar_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// What a registrar asks of certificate requests is in the test kit, octet for
// octet.
func TestCSRAttrsAreThoseOfTheTestKit(t *testing.T) {
	w := newSite(t, func(c *registrar.Config) {
		c.Domains = []registrar.Domain{{Label: "pumps", Organization: "Example", Key: est.P256}}
	})
	kit := func(name string) []byte {
		return must[[]byte](t)(os.ReadFile("../../testdata/est/" + name))
	}
	asked := func(label string) *est.CSRAttrs {
		r := w.request(nil, "", nil)
		r.Label = label
		answer := must[*exchange.Answer](t)(w.registrar.CSRAttrs(t.Context(), r))
		der := must[[]byte](t)(est.DecodeBody(nil, answer.Body))
		if label == "" && !bytes.Equal(der, kit("good-csrattrs.der")) {
			t.Errorf("csrattrs is %x", der)
		}
		return must[*est.CSRAttrs](t)(est.ParseCSRAttrs(der, est.Limits{}))
	}
	asked("")
	template := est.CSRAttrs{Template: asked("pumps").Template}
	if der := must[[]byte](t)(template.Append(nil)); !bytes.Equal(der, kit("good-csrattrs-template.der")) {
		t.Errorf("the template is %x", der)
	}
}
