package pledge_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

// attributes makes the registrar state CSR attributes.
func (w *world) attributes(a *est.CSRAttrs) {
	body := est.AppendBody(nil, must[[]byte](w.t)(a.Append(nil)))
	w.registrar.answers["csrattrs"] = func(*pledge.Call, []byte) *pledge.Reply {
		return &pledge.Reply{Status: 200, ContentType: exchange.TypeCSRAttrs, Body: body,
			Binding: exchange.Binding{Unique: []byte("tls-unique12"), Exporter: make([]byte, 32)}}
	}
}

func TestAttributesAreObeyed(t *testing.T) {
	usage := est.Extension{ID: est.OIDKeyUsage, Critical: true, Value: []byte{3, 2, 7, 0x80}}
	for name, c := range map[string]struct {
		attributes *est.CSRAttrs
		signature  string // of the request, dotted
	}{
		"nothing":      {&est.CSRAttrs{}, est.OIDECDSAWithSHA256},
		"P-384":        {&est.CSRAttrs{Keys: []est.Key{est.P384}}, est.OIDECDSAWithSHA384},
		"P-521":        {&est.CSRAttrs{Keys: []est.Key{est.P521}}, est.OIDECDSAWithSHA512},
		"Ed25519":      {&est.CSRAttrs{Keys: []est.Key{est.Ed25519}}, est.OIDEd25519},
		"RSA":          {&est.CSRAttrs{Keys: []est.Key{est.RSA(0)}}, est.OIDSHA256WithRSA},
		"RSA by size":  {&est.CSRAttrs{Keys: []est.Key{est.RSA(3072)}, Signatures: []string{est.OIDSHA384WithRSA}}, est.OIDSHA384WithRSA},
		"another hash": {&est.CSRAttrs{Keys: []est.Key{est.P256}, Signatures: []string{est.OIDECDSAWithSHA384}}, est.OIDECDSAWithSHA384},
		"a bare hash":  {&est.CSRAttrs{Signatures: []string{est.OIDSHA512}}, est.OIDECDSAWithSHA512},
		"extensions":   {&est.CSRAttrs{Extensions: []est.Extension{usage}}, est.OIDECDSAWithSHA256},
		"linking":      {&est.CSRAttrs{ChallengePassword: true}, est.OIDECDSAWithSHA256},
		"template": {&est.CSRAttrs{Template: &est.Template{Key: est.P384, Extensions: []est.Extension{usage, {ID: est.OIDExtendedKeyUsage}},
			Subject: []est.NameAttribute{{ID: est.OIDOrganization, Tag: est.TagUTF8String, Value: []byte("Owner")}, {RDN: 1, ID: est.OIDSerialNumber}}}}, est.OIDECDSAWithSHA384},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.attributes(c.attributes)
			if _, err := w.join(); err != nil {
				t.Fatal(err)
			}
			csr, _ := w.registrar.certify(t, w.registrar.bodies["simpleenroll"][0])
			if err := c.attributes.Check(csr); err != nil {
				t.Error(err)
			}
			if csr.SignatureID != c.signature {
				t.Errorf("signed with %s, want %s", csr.SignatureID, c.signature)
			}
			if got := csr.SerialNumbers(); !slices.Equal(got, []string{serial}) {
				t.Errorf("the subject has %q", got)
			}
			if want := string(est.AppendBody(nil, []byte("tls-unique12"))); c.attributes.ChallengePassword && string(csr.ChallengePassword) != want {
				t.Errorf("challengePassword %q, want %q", csr.ChallengePassword, want)
			}
		})
	}
}

func TestTheLabelIsKept(t *testing.T) {
	w := newWorld(t)
	w.cfg.Label = "plant"
	if _, err := w.join(); err != nil {
		t.Fatal(err)
	}
	if _, err := pledge.Renew(context.Background(), w.cfg, nil); err != nil {
		t.Fatal(err)
	}
	for _, segment := range []string{"cacerts", "csrattrs", "simpleenroll", "simplereenroll"} {
		if got := w.registrar.last[segment].Path; got != "/.well-known/est/plant/"+segment {
			t.Errorf("asked %s", got)
		}
	}
	if got := w.registrar.last["simplereenroll"].ServerName; got != "registrar.example" {
		t.Errorf("SNI %q where the name is known", got)
	}
	if got := w.registrar.last["requestvoucher"].ServerName; got != "" {
		t.Errorf("SNI %q on the provisional connection", got)
	}
}

// Registrars that have shown a good voucher and then do something wrong: each is
// told so over the connection of the enrolment, and nothing is kept.
func TestEnrolmentsThatFail(t *testing.T) {
	body := func(segment, contentType, text string) func(*world) {
		return func(w *world) {
			w.registrar.answers[segment] = func(*pledge.Call, []byte) *pledge.Reply {
				return &pledge.Reply{Status: 200, ContentType: contentType, Body: []byte(text)}
			}
		}
	}
	status := func(segment string, code int) func(*world) {
		return func(w *world) { w.registrar.answers[segment] = plain(code) }
	}
	authorities := func(f func(*world) []*x509.Certificate) func(*world) {
		return func(w *world) {
			certs := f(w)
			w.registrar.answers["cacerts"] = func(*pledge.Call, []byte) *pledge.Reply { return certsOnly(t, certs...) }
		}
	}
	issues := func(f func(*world, *est.CSR, crypto.PublicKey) []*x509.Certificate) func(*world) {
		return func(w *world) {
			w.registrar.answers["simpleenroll"] = func(_ *pledge.Call, body []byte) *pledge.Reply {
				csr, public := w.registrar.certify(t, body)
				return certsOnly(t, f(w, csr, public)...)
			}
		}
	}
	ldevid := func(change func(*world, *ca.LDevIDParams)) func(*world) {
		return issues(func(w *world, csr *est.CSR, public crypto.PublicKey) []*x509.Certificate {
			p := ca.LDevIDParams{RawSubject: csr.Subject, PublicKey: public, NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0)}
			change(w, &p)
			return []*x509.Certificate{must[*x509.Certificate](t)(w.registrar.domain.LDevID(p))}
		})
	}
	stranger := func(w *world) []*x509.Certificate {
		return []*x509.Certificate{newRegistrar(t, w, "stranger.example").domain.Certificate()}
	}
	for name, c := range map[string]struct {
		setup func(*world)
		kind  decision.Kind
	}{
		"cacerts refused":    {status("cacerts", 403), pledge.RegistrarRefused},
		"cacerts pending":    {status("cacerts", 202), pledge.RegistrarRefused},
		"cacerts of no type": {body("cacerts", "", "MAA="), pledge.WrongAnswer},
		"cacerts garbage":    {body("cacerts", exchange.TypePKCS7, "&&"), pledge.BadAuthorities},
		"cacerts empty":      {body("cacerts", exchange.TypePKCS7, ""), pledge.BadAuthorities},
		"cacerts too long":   {body("cacerts", exchange.TypePKCS7, strings.Repeat("A", exchange.MaxEST+1)), decision.TooLarge},
		"another domain":     {authorities(stranger), pledge.BadAuthorities},
		"no authority":       {authorities(func(w *world) []*x509.Certificate { return w.registrar.chain[:1] }), pledge.BadAuthorities},
		"a namesake":         {authorities(func(w *world) []*x509.Certificate { return namesake(w)[1:] }), pledge.BadAuthorities},
		"a damaged root": {authorities(func(w *world) []*x509.Certificate {
			der := bytes.Clone(w.registrar.domain.Certificate().Raw)
			der[len(der)-1] ^= 1
			return []*x509.Certificate{must[*x509.Certificate](t)(x509.ParseCertificate(der))}
		}), pledge.BadAuthorities},
		"csrattrs refused":       {status("csrattrs", 500), pledge.RegistrarRefused},
		"csrattrs of a type":     {body("csrattrs", "text/html", "MAA="), pledge.WrongAnswer},
		"csrattrs garbage":       {body("csrattrs", exchange.TypeCSRAttrs, "MAAA"), pledge.BadAttributes},
		"a key nobody makes":     {func(w *world) { w.attributes(&est.CSRAttrs{Keys: []est.Key{{Algorithm: est.OIDEd448}}}) }, pledge.BadAttributes},
		"a key too large":        {func(w *world) { w.attributes(&est.CSRAttrs{Keys: []est.Key{est.RSA(16384)}}) }, pledge.BadAttributes},
		"a value nobody has":     {func(w *world) { w.attributes(&est.CSRAttrs{Items: []est.Attribute{{ID: est.OIDCommonName}}}) }, pledge.BadAttributes},
		"simpleenroll refused":   {status("simpleenroll", 403), pledge.RegistrarRefused},
		"simpleenroll 503":       {status("simpleenroll", 503), pledge.RegistrarRefused},
		"simpleenroll of a type": {body("simpleenroll", "application/pkix-cert", "MAA="), pledge.WrongAnswer},
		"simpleenroll garbage":   {body("simpleenroll", exchange.TypeCertsOnly, "MIIB"), pledge.BadIssuedCert},
		"another key":            {ldevid(func(w *world, p *ca.LDevIDParams) { p.PublicKey = newKey(t).Public() }), pledge.BadIssuedCert},
		"another device":         {ldevid(func(w *world, p *ca.LDevIDParams) { p.RawSubject = subject(t, "another") }), pledge.BadIssuedCert},
		"not yet valid":          {ldevid(func(w *world, p *ca.LDevIDParams) { p.NotBefore = epoch.AddDate(0, 0, 1) }), pledge.BadIssuedCert},
		"expired": {ldevid(func(w *world, p *ca.LDevIDParams) {
			p.NotBefore, p.NotAfter = epoch.Add(-50*60e9), epoch.Add(-20*60e9)
		}), pledge.BadIssuedCert},
		"of another domain": {issues(func(w *world, csr *est.CSR, public crypto.PublicKey) []*x509.Certificate {
			other := newRegistrar(t, w, "stranger.example")
			return []*x509.Certificate{must[*x509.Certificate](t)(other.domain.LDevID(ca.LDevIDParams{RawSubject: csr.Subject, PublicKey: public, NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0)})), other.domain.Certificate()}
		}), pledge.BadIssuedCert},
		"a server's": {issues(func(w *world, csr *est.CSR, public crypto.PublicKey) []*x509.Certificate {
			return []*x509.Certificate{w.special(csr, public, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })}
		}), pledge.BadIssuedCert},
		"an authority's": {issues(func(w *world, csr *est.CSR, public crypto.PublicKey) []*x509.Certificate {
			return []*x509.Certificate{w.special(csr, public, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })}
		}), pledge.BadIssuedCert},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.setup(w)
			_, err := w.join()
			w.refuses(t, err, c.kind)
			calls := w.registrar.calls
			if last := calls[len(calls)-1]; !strings.HasPrefix(last, "enrollstatus:false ") {
				t.Errorf("the registrar was told %q", last)
			}
			if first := w.registrar.names[0]; slices.ContainsFunc(w.registrar.names, func(n string) bool { return n != first }) {
				t.Errorf("connections %v", w.registrar.names)
			}
		})
	}
}

// special is a certificate that no profile of package ca has.
func (w *world) special(csr *est.CSR, public crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	w.t.Helper()
	plain := must[*x509.Certificate](w.t)(w.registrar.domain.LDevID(ca.LDevIDParams{RawSubject: csr.Subject, PublicKey: public, NotBefore: epoch, NotAfter: epoch.AddDate(1, 0, 0)}))
	template := *plain
	template.ExtKeyUsage, template.UnknownExtKeyUsage = nil, nil
	change(&template)
	der := must[[]byte](w.t)(x509.CreateCertificate(nil, &template, w.registrar.domain.Certificate(), public, w.domainKey()))
	return must[*x509.Certificate](w.t)(x509.ParseCertificate(der))
}

// Domains with more than one authority, and answers that are lax in what does
// not matter.
func TestDomainsOfOtherShapes(t *testing.T) {
	for name, setup := range map[string]func(*world){
		"no status service": func(w *world) {
			w.registrar.answers["voucher_status"], w.registrar.answers["enrollstatus"] = plain(404), plain(500)
		},
		"status service unreachable": func(w *world) {
			w.registrar.answers["enrollstatus"] = func(*pledge.Call, []byte) *pledge.Reply { return nil }
		},
		"csrattrs 204": func(w *world) { w.registrar.answers["csrattrs"] = plain(204) },
		"raw DER, and the authority beside": func(w *world) {
			good := w.registrar.answers["simpleenroll"]
			w.registrar.answers["simpleenroll"] = func(c *pledge.Call, body []byte) *pledge.Reply {
				r := good(c, body)
				r.Body = must[[]byte](t)(est.DecodeBody(nil, r.Body))
				return r
			}
		},
		"the registrar is pinned, and says who its authority is": func(w *world) {
			w.registrar.voucher = func(v *codec.Voucher) { v.PinnedDomainCert = w.registrar.chain[0].Raw }
			next := newRegistrar(t, w, "registrar.example")
			w.registrar.answers["cacerts"], w.registrar.answers["simpleenroll"] = next.cacerts, next.enrol
		},
		"an issuer below the pinned authority": func(w *world) {
			root := w.registrar.domain
			key := newKey(t)
			template := &x509.Certificate{SerialNumber: root.Certificate().SerialNumber, RawSubject: subject(t, "issuing"), NotBefore: epoch.Add(-3600e9), NotAfter: epoch.AddDate(9, 0, 0),
				IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte("issuing authority id")}
			der := must[[]byte](t)(x509.CreateCertificate(nil, template, root.Certificate(), key.Public(), w.domainKey()))
			cert := must[*x509.Certificate](t)(x509.ParseCertificate(der))
			w.registrar.answers["cacerts"] = func(*pledge.Call, []byte) *pledge.Reply { return certsOnly(t, root.Certificate(), cert) }
			w.registrar.domain = must[*ca.Authority](t)(ca.New(cert, key, ca.Options{}))
			w.registrar.voucher = func(v *codec.Voucher) { v.PinnedDomainCert = root.Certificate().Raw }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			setup(w)
			joined, err := w.join()
			if err != nil {
				t.Fatal(err)
			}
			holdsChain(t, w, joined)
		})
	}
}

func holdsChain(t *testing.T, w *world, joined *pledge.Joined) {
	t.Helper()
	had := must[*pledge.Joined](t)(pledge.Load(w.storage))
	if had == nil || !had.LDevID.Chain[0].Equal(joined.LDevID.Chain[0]) {
		t.Fatal("nothing, or another certificate, is stored")
	}
	if err := sign.MatchCertificate(had.LDevID.Key, had.LDevID.Chain[0]); err != nil {
		t.Error(err)
	}
	if _, err := sign.VerifyChain(had.LDevID.Chain[0], sign.ChainOptions{Roots: had.CACerts, Intermediates: had.LDevID.Chain[1:], At: epoch}); err != nil {
		t.Error(err)
	}
}
