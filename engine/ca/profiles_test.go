package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
	"github.com/vouchmill/vouchmill/sign"
)

// entity are the parameters of a server with a new key.
func entity(t *testing.T, kind ca.KeyKind) ca.EntityParams {
	t.Helper()
	return ca.EntityParams{CommonName: "Entity", Organization: "Example", PublicKey: newKey(t, kind).Public(), NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
}

var serverNames = ca.ServerNames{DNS: []string{"registrar.example.com"}, IPs: []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")}}

// The profiles that have names and a purpose, with what they must show.
var profiles = []struct {
	name   string
	issue  func(*ca.Authority, ca.EntityParams) (*x509.Certificate, error)
	server bool
	usages []x509.ExtKeyUsage
	cmcRA  bool
	text   string // of extKeyUsage as openssl writes it, "" for none
	pass   []string
	fail   []string // purposes that openssl must see it is not for
}{
	{"Registrar", (*ca.Authority).Registrar, true, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, true,
		"TLS Web Server Authentication, TLS Web Client Authentication, CMC Registration Authority", []string{"sslserver", "sslclient"}, []string{"smimesign"}},
	{"TLSServer", (*ca.Authority).TLSServer, true, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, false,
		"TLS Web Server Authentication", []string{"sslserver"}, []string{"sslclient", "smimesign"}},
	{"TLSClient", (*ca.Authority).TLSClient, false, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, false,
		"TLS Web Client Authentication", []string{"sslclient"}, []string{"sslserver", "smimesign"}},
	{"VoucherSigner", (*ca.Authority).VoucherSigner, false, nil, false, "", []string{"smimesign"}, nil},
}

func TestProfiles(t *testing.T) {
	for _, profile := range profiles {
		for _, kind := range allKinds {
			t.Run(profile.name+"/"+string(kind), func(t *testing.T) {
				root, p := newRoot(t, kind), entity(t, kind)
				if profile.server {
					p.Names = serverNames
				}
				if kind == ca.RSA {
					p.PublicKey = newKey(t, ca.P256).Public() // RSA keys are made once, for the CA
				}
				cert := must[*x509.Certificate](t)(profile.issue(root, p))
				isEndEntity(t, root, cert)
				if _, critical, _ := extension(cert, oidKeyUsage); cert.KeyUsage != x509.KeyUsageDigitalSignature || !critical {
					t.Errorf("key usage %b, critical %v", cert.KeyUsage, critical)
				}
				if !slices.Equal(cert.ExtKeyUsage, profile.usages) || hasCMCRA(cert) != profile.cmcRA || len(cert.UnknownExtKeyUsage) > 1 {
					t.Errorf("extended key usage %v %v", cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
				}
				if id := must[[]byte](t)(sign.KeyIdentifier(p.PublicKey)); !bytes.Equal(cert.SubjectKeyId, id) {
					t.Errorf("subject key identifier %x", cert.SubjectKeyId)
				}
				if cert.Subject.String() != "CN=Entity,O=Example" {
					t.Errorf("subject %s", cert.Subject)
				}
				if profile.server {
					roots := x509.NewCertPool()
					roots.AddCert(root.Certificate())
					for _, host := range []string{"registrar.example.com", "192.0.2.1", "2001:db8::1"} {
						if _, err := cert.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: noon}); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
	}
}

func hasCMCRA(cert *x509.Certificate) bool {
	for _, oid := range cert.UnknownExtKeyUsage {
		if oid.String() == oidCMCRA {
			return true
		}
	}
	return false
}

func TestProfilesByOpenssl(t *testing.T) {
	o := openssl.New(t)
	for _, profile := range profiles {
		for _, kind := range allKinds {
			root, p := newRoot(t, kind), entity(t, ca.P256)
			if profile.server {
				p.Names = serverNames
			}
			cert := must[*x509.Certificate](t)(profile.issue(root, p))
			for _, purpose := range profile.pass {
				if out, err := verify(o, root, cert, noon, "-purpose", purpose); err != nil {
					t.Errorf("%s under %s is not for %s: %s", profile.name, kind, purpose, out)
				}
			}
			for _, purpose := range profile.fail {
				if out, err := verify(o, root, cert, noon, "-purpose", purpose); err == nil {
					t.Errorf("%s under %s is for %s: %s", profile.name, kind, purpose, out)
				}
			}
			text := o.Run("x509", "-in", "cert.pem", "-noout", "-text")
			wants := []string{"X509v3 Key Usage: critical\n                Digital Signature\n", "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
				"X509v3 Subject Key Identifier:", "X509v3 Authority Key Identifier:"}
			if profile.text != "" {
				wants = append(wants, "X509v3 Extended Key Usage: \n                "+profile.text+"\n")
			}
			if profile.server {
				wants = append(wants, "DNS:registrar.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1\n")
			}
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("%s under %s lacks %q:\n%s", profile.name, kind, want, text)
				}
			}
			if profile.text == "" && strings.Contains(text, "Extended Key Usage") {
				t.Errorf("%s under %s has an extended key usage:\n%s", profile.name, kind, text)
			}
		}
	}
}

func TestVoucherSignerByOpensslCMS(t *testing.T) {
	o := openssl.New(t)
	for _, kind := range []ca.KeyKind{ca.P256, ca.P384, ca.P521} {
		root, key := newRoot(t, kind), newKey(t, kind)
		p := entity(t, kind)
		p.PublicKey = key.Public()
		o.Write("ca.pem", ca.ChainPEM(root.Certificate()))
		o.Write("signer.pem", ca.ChainPEM(must[*x509.Certificate](t)(root.VoucherSigner(p))))
		o.Write("signer.key", must[[]byte](t)(sign.MarshalKeyPEM(key, nil)))
		o.Write("voucher.json", []byte(`{"ietf-voucher:voucher":{}}`))
		o.Run("cms", "-sign", "-binary", "-nodetach", "-md", "sha256", "-in", "voucher.json", "-signer", "signer.pem", "-inkey", "signer.key", "-outform", "DER", "-out", "voucher.vcj")
		o.Run("cms", "-verify", "-binary", "-inform", "DER", "-in", "voucher.vcj", "-CAfile", "ca.pem", "-attime", at(noon), "-out", "read.json")
		if !bytes.Equal(o.Read("read.json"), o.Read("voucher.json")) {
			t.Errorf("%s: another content", kind)
		}
		// A TLS server's certificate must not pass for a voucher signer's there.
		p.Names = serverNames
		o.Write("signer.pem", ca.ChainPEM(must[*x509.Certificate](t)(root.TLSServer(p))))
		o.Run("cms", "-sign", "-binary", "-nodetach", "-md", "sha256", "-in", "voucher.json", "-signer", "signer.pem", "-inkey", "signer.key", "-outform", "DER", "-out", "voucher.vcj")
		if out, err := o.Try("cms", "-verify", "-binary", "-inform", "DER", "-in", "voucher.vcj", "-CAfile", "ca.pem", "-attime", at(noon), "-out", os.DevNull); err == nil {
			t.Errorf("%s: a TLS server's signature passes:\n%s", kind, out)
		}
	}
}

func TestEntityRefusals(t *testing.T) {
	root := newRoot(t, ca.P256)
	p224 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	type issue = func(*ca.Authority, ca.EntityParams) (*x509.Certificate, error)
	tests := []struct {
		name   string
		issue  issue
		change func(*ca.EntityParams)
		kind   error
	}{
		{"registrar without a name", (*ca.Authority).Registrar, func(p *ca.EntityParams) { p.Names = ca.ServerNames{} }, ca.ErrName},
		{"server without a name", (*ca.Authority).TLSServer, func(p *ca.EntityParams) { p.Names = ca.ServerNames{} }, ca.ErrName},
		{"voucher signer with a name", (*ca.Authority).VoucherSigner, func(*ca.EntityParams) {}, ca.ErrName},
		{"wildcard", (*ca.Authority).Registrar, func(p *ca.EntityParams) { p.Names.DNS = []string{"*.example.com"} }, ca.ErrName},
		{"broken address", (*ca.Authority).Registrar, func(p *ca.EntityParams) { p.Names.IPs = []net.IP{{1, 2, 3}} }, ca.ErrName},
		{"no common name", (*ca.Authority).TLSClient, func(p *ca.EntityParams) { p.CommonName = "" }, ca.ErrName},
		{"no key", (*ca.Authority).TLSClient, func(p *ca.EntityParams) { p.PublicKey = nil }, ca.ErrKey},
		{"a nil key", (*ca.Authority).TLSClient, func(p *ca.EntityParams) { p.PublicKey = (*ecdsa.PublicKey)(nil) }, ca.ErrKey},
		{"P-224", (*ca.Authority).TLSClient, func(p *ca.EntityParams) { p.PublicKey = p224.Public() }, ca.ErrKey},
		{"a private key", (*ca.Authority).TLSClient, func(p *ca.EntityParams) { p.PublicKey = newKey(t, ca.P256) }, ca.ErrKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := entity(t, ca.P256)
			p.Names = serverNames
			p.Names.DNS = slices.Clone(p.Names.DNS)
			test.change(&p)
			_, err := test.issue(root, p)
			wantKind(t, err, test.kind)
		})
	}
}

func TestAcceptableKey(t *testing.T) {
	keys := map[ca.KeyKind]crypto.PublicKey{}
	for _, kind := range allKinds {
		keys[kind] = newKey(t, kind).Public()
	}
	tests := []struct {
		name     string
		policy   ca.Policy
		accepted []ca.KeyKind
	}{
		{"default", ca.Policy{}, []ca.KeyKind{ca.P256, ca.P384, ca.RSA}},
		{"one kind", ca.Policy{Kinds: []ca.KeyKind{ca.P256}}, []ca.KeyKind{ca.P256}},
		{"all kinds", ca.Policy{Kinds: allKinds}, allKinds},
		{"none", ca.Policy{Kinds: []ca.KeyKind{}}, nil},
		{"longer RSA", ca.Policy{MinRSABits: 3072}, []ca.KeyKind{ca.P256, ca.P384}},
	}
	for _, test := range tests {
		for kind, pub := range keys {
			err := ca.AcceptableKey(pub, test.policy)
			if slices.Contains(test.accepted, kind) {
				if err != nil {
					t.Errorf("%s: %v", test.name, err)
				}
				continue
			}
			wantKind(t, err, ca.ErrKey)
		}
	}
	for _, kind := range allKinds {
		if got, err := ca.ParseKeyKind(strings.ToLower(string(kind))); err != nil || got != kind {
			t.Errorf("%q reads as %q: %v", kind, got, err)
		}
	}
	_, err := ca.ParseKeyKind("P-224")
	wantKind(t, err, ca.ErrKey)
}
