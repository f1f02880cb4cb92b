package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

const labelled = `organization: Example
labels:
  pumps:
    certificate-lifetime: 1h
    certificate-keys: [P-256]
    organizational-units:
      - Pumps
    crl-urls: [http://crl.example.com/pumps.crl]
  valves: {}
  doors:
certificate-lifetime: 30d
certificate-keys: [P-256, RSA]
`

// A label has what it sets, and of everything else what holds without one, also
// where that comes behind it in the file.
func TestLabelsHaveProfiles(t *testing.T) {
	h := newHome(t)
	h.set(t, labelled)
	s, err := load(h.config)
	if err != nil {
		t.Fatal(err)
	}
	keys := func(kinds ...ca.KeyKind) ca.Policy { return ca.Policy{Kinds: kinds} }
	common := registrar.Domain{Organization: "Example", Keys: keys(ca.P256, ca.RSA), Lifetime: 30 * day}
	valves, doors := common, common
	valves.Label, doors.Label = "valves", "doors"
	want := []registrar.Domain{common, {Label: "pumps", Organization: "Example", Units: []string{"Pumps"}, Keys: keys(ca.P256), Lifetime: time.Hour,
		CRLURLs: []string{"http://crl.example.com/pumps.crl"}}, valves, doors}
	if cfg, err := s.config(); err != nil || !reflect.DeepEqual(cfg.Domains, want) {
		t.Errorf("%+v, want %+v, %v", cfg.Domains, want, err)
	}
	// What is printed says the same.
	printed := h.call("serve", "--print-config").want(t, program.Done, "certificate-lifetime, certificate-keys, organization, organizational-units and crl-urls", "  valves: {}", "    certificate-lifetime: 1h").out
	if err := os.WriteFile(h.config, []byte(printed), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = load(h.config); err != nil {
		t.Fatal(err)
	}
	if cfg, err := s.config(); err != nil || !reflect.DeepEqual(cfg.Domains, want) {
		t.Errorf("printed: %+v, want %+v, %v", cfg.Domains, want, err)
	}
}

func TestLabelsThatCannotBeServed(t *testing.T) {
	for lines, texts := range map[string][]string{
		"labels:\n  pumps:\n    certificate-lifetimes: 1h\n": {"labels, pumps", "did you mean certificate-lifetime?"},
		"labels:\n  pumps:\n    certificate-keys: [P-257]\n": {"labels, pumps, certificate-keys", "P-257"},
		"labels:\n  pumps: 1h\n":                             {"labels", "pumps", "neither empty nor a mapping"},
		"labels:\n  pumps:\n  pumps:\n":                      {"labels", "set twice"},
		"labels:\n  - pumps:\n      certificate-keys: RSA\n": {"labels"},
		"labels:\n  cacerts: {}\n":                           {"cacerts"},
	} {
		h := newHome(t)
		h.set(t, lines)
		h.call("serve").want(t, program.Usage, texts...)
	}
}

// enrolAt asks for a certificate of a key under a label, with a device's IDevID.
func (w *world) enrolAt(label string, device *tls.Certificate, key crypto.Signer, subject pkix.Name) (int, *x509.Certificate) {
	w.t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		w.t.Fatal(err)
	}
	body := []byte(base64.StdEncoding.EncodeToString(der))
	status, _, answer := ask(w.t, client(w.t, device), "POST", w.registrar.at+"/.well-known/est/"+label+"simpleenroll", "application/pkcs10", body)
	if status != 200 {
		return status, nil
	}
	message, err := est.DecodeBody(nil, answer)
	certs, also := est.ParseCertsOnly(message, est.Limits{})
	if err = errors.Join(err, also); err != nil || len(certs) != 1 {
		w.t.Fatalf("%d certificates, %v", len(certs), err)
	}
	cert, err := x509.ParseCertificate(certs[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return status, cert
}

func TestADeviceEnrolsUnderALabel(t *testing.T) {
	w := newWorld(t, 1, "--admit", "manufacturer")
	if code := w.registrar.stop(t); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	(&home{w.path("r"), w.registrarConfig}).set(t, "labels: {pumps: {certificate-lifetime: 1h, certificate-keys: [P-256]}, valves: {}}\n")
	w.startRegistrar()
	w.join("SN-1").want(t, program.Done)
	device, err := tls.LoadX509KeyPair(filepath.Join(w.path("devices"), "SN-1.pem"), filepath.Join(w.path("devices"), "SN-1.key"))
	if err != nil {
		t.Fatal(err)
	}
	wide, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	subject := pkix.Name{SerialNumber: "SN-1"}
	for _, c := range []struct {
		label    string
		key      crypto.Signer
		lifetime time.Duration // 0 for a refusal
	}{{"", wide, 365 * day}, {"valves/", wide, 365 * day}, {"pumps/", wide, 0}, {"pumps/", newKey(t), time.Hour}, {"valves/", newKey(t), 365 * day}} {
		status, cert := w.enrolAt(c.label, &device, c.key, subject)
		switch {
		case c.lifetime == 0 && status != 403, c.lifetime != 0 && status != 200:
			t.Errorf("%T under %q: %d", c.key, c.label, status)
		case cert != nil:
			if left := time.Until(cert.NotAfter); left > c.lifetime || left < c.lifetime-time.Hour/2 {
				t.Errorf("%T under %q: valid for %s", c.key, c.label, left)
			}
		}
	}
}
