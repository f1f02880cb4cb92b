package pledge_test

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/pledge"
)

func TestConfigurationsThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		says   string
	}{
		"no network":         {func(w *world) { w.cfg.Network = nil }, "Network"},
		"no anchors":         {func(w *world) { w.cfg.VoucherAnchors = nil }, "VoucherAnchors"},
		"no certificate":     {func(w *world) { w.cfg.IDevID.Chain = nil }, "certificate"},
		"another's key":      {func(w *world) { w.cfg.IDevID.Key = newKey(t) }, "IDevID"},
		"COSE":               {func(w *world) { w.cfg.Format = codec.FormatCOSE }, "HTTP"},
		"unset assertion":    {func(w *world) { w.cfg.Assertions = []codec.Assertion{codec.AssertionUnset} }, "Assertions"},
		"label of two":       {func(w *world) { w.cfg.Label = "a/b" }, "label"},
		"label an operation": {func(w *world) { w.cfg.Label = "cacerts" }, "label"},
		"no serial number": {func(w *world) {
			w.cfg.IDevID.Chain = []*x509.Certificate{w.registrar.chain[0]}
			w.cfg.IDevID.Key = w.registrar.key
		}, "serial"},
	} {
		w := newWorld(t)
		c.change(w)
		if _, err := pledge.New(w.cfg); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t)
	if _, err := w.pledge().Join(context.Background(), "registrar.example"); err == nil || !strings.Contains(err.Error(), "https://HOST") {
		t.Errorf("%v", err)
	}
}
