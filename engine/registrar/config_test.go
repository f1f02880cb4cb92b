package registrar_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// What a MASA or a pledge would refuse, or could not tell, is no certificate to
// begin with.
func TestCertificatesThatMakeNoRegistrar(t *testing.T) {
	w := newSite(t)
	key := newKey(t)
	params := ca.EntityParams{CommonName: "registrar.example.com", PublicKey: key.Public(), NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0),
		Names: ca.ServerNames{DNS: []string{"registrar.example.com"}}}
	own := must[*x509.Certificate](t)(w.domain.Registrar(params))
	server := must[*x509.Certificate](t)(w.domain.TLSServer(params))
	namesake := newRoot(t, "Site CA").Certificate()
	for name, c := range map[string]struct {
		chain []*x509.Certificate
		says  string
	}{
		"none":                 {nil, "is empty"},
		"without cmcRA":        {[]*x509.Certificate{server, w.domain.Certificate()}, "id-kp-cmcRA"},
		"of another key":       {w.chain, "another key"},
		"under a namesake":     {[]*x509.Certificate{own, namesake}, "did not issue"},
		"beside another chain": {[]*x509.Certificate{own, w.domain.Certificate(), namesake}, "did not issue"},
	} {
		cfg := w.cfg
		cfg.Signer, cfg.Chain = signerOf(t, key), c.chain
		if s, err := registrar.New(cfg); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
			if s != nil {
				s.Close()
			}
		}
	}
	cfg := w.cfg
	cfg.Signer, cfg.Chain = signerOf(t, key), []*x509.Certificate{own, w.domain.Certificate()}
	s, err := registrar.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
