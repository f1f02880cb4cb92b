package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/internal/openssl"
	"github.com/vouchmill/vouchmill/sign"
)

// request makes a certification request by crypto/x509.
func request(t *testing.T, key crypto.Signer, alg x509.SignatureAlgorithm) *est.CSR {
	t.Helper()
	der := must[[]byte](t)(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{SerialNumber: "A-1"}, SignatureAlgorithm: alg}, key))
	return must[*est.CSR](t)(est.ParseCSR(der, est.Limits{}))
}

func TestPossession(t *testing.T) {
	tests := []struct {
		kind ca.KeyKind
		alg  x509.SignatureAlgorithm
	}{
		{ca.P256, 0}, {ca.P256, x509.ECDSAWithSHA384}, {ca.P256, x509.ECDSAWithSHA512},
		{ca.P384, 0}, {ca.P384, x509.ECDSAWithSHA256}, {ca.P521, 0}, {ca.P521, x509.ECDSAWithSHA256}, {ca.Ed25519, 0},
		{ca.RSA, 0}, {ca.RSA, x509.SHA384WithRSA}, {ca.RSA, x509.SHA512WithRSA}, {ca.RSA, x509.SHA256WithRSAPSS},
	}
	for _, test := range tests {
		key := newKey(t, test.kind)
		csr := request(t, key, test.alg)
		pub, err := ca.CheckPossession(csr)
		if err != nil {
			t.Errorf("%s, %v: %v", test.kind, test.alg, err)
			continue
		}
		if !bytes.Equal(must[[]byte](t)(sign.MarshalPublicKey(pub)), must[[]byte](t)(sign.MarshalPublicKey(key.Public()))) {
			t.Errorf("%s: another key", test.kind)
		}
		csr.Info = slices.Clone(csr.Info)
		csr.Info[len(csr.Info)-1] ^= 1
		_, err = ca.CheckPossession(csr)
		wantKind(t, err, ca.ErrPossession)
	}
}

func TestPossessionByOpenssl(t *testing.T) {
	o := openssl.New(t)
	o.Run("genrsa", "-out", "RSA.pem", "2048")
	for name, curve := range map[string]string{"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"} {
		o.Run("ecparam", "-genkey", "-name", curve, "-noout", "-out", name+".pem")
	}
	o.Run("genpkey", "-algorithm", "ED25519", "-out", "Ed25519.pem")
	pss := []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt"}
	tests := []struct {
		key     string
		options []string
		good    bool
	}{
		{"P-256", nil, true}, {"P-384", nil, true}, {"P-521", nil, true}, {"RSA", nil, true}, {"Ed25519", nil, true},
		{"P-384", []string{"-sha384"}, true}, {"P-521", []string{"-sha512"}, true}, {"RSA", []string{"-sha512"}, true},
		{"RSA", append(pss, "rsa_pss_saltlen:32"), true},
		{"RSA", append(pss, "rsa_pss_saltlen:20"), false},
		{"P-256", []string{"-sha1"}, false}, {"RSA", []string{"-sha1"}, false}, {"RSA", []string{"-md5"}, false}, {"P-256", []string{"-sha3-256"}, false},
	}
	for _, test := range tests {
		args := append([]string{"req", "-new", "-key", test.key + ".pem", "-subj", "/serialNumber=A-1", "-outform", "DER", "-out", "csr.der"}, test.options...)
		o.Run(args...)
		_, err := ca.CheckPossession(must[*est.CSR](t)(est.ParseCSR(o.Read("csr.der"), est.Limits{})))
		if test.good && err != nil {
			t.Errorf("%s %q: %v", test.key, test.options, err)
		}
		if !test.good {
			wantKind(t, err, ca.ErrPossession)
		}
	}
}

func TestPossessionRefusals(t *testing.T) {
	csr, other := request(t, newKey(t, ca.P256), 0), request(t, newKey(t, ca.P256), 0)
	rsaCSR := request(t, newKey(t, ca.RSA), 0)
	p224 := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	small := must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	foreign := func(key crypto.PublicKey) func(*est.CSR) {
		return func(r *est.CSR) { r.PublicKey = must[[]byte](t)(x509.MarshalPKIXPublicKey(key)) }
	}
	tests := []struct {
		name   string
		csr    *est.CSR
		change func(*est.CSR)
		kind   error
	}{
		{"another's key", csr, func(r *est.CSR) { r.PublicKey = other.PublicKey }, ca.ErrPossession},
		{"a key of another kind", csr, func(r *est.CSR) { r.PublicKey = rsaCSR.PublicKey }, ca.ErrPossession},
		{"another's signature", csr, func(r *est.CSR) { r.Signature = other.Signature }, ca.ErrPossession},
		{"no signature", csr, func(r *est.CSR) { r.Signature = nil }, ca.ErrPossession},
		{"zero signature", csr, func(r *est.CSR) { r.Signature = []byte("\x30\x06\x02\x01\x00\x02\x01\x00") }, ca.ErrPossession},
		{"signature and more", csr, func(r *est.CSR) { r.Signature = append(slices.Clone(r.Signature), 0) }, ca.ErrPossession},
		{"raw signature", csr, func(r *est.CSR) { r.Signature = make([]byte, 64) }, ca.ErrPossession},
		{"no algorithm", csr, func(r *est.CSR) { r.SignatureID = "" }, ca.ErrPossession},
		{"another hash", csr, func(r *est.CSR) { r.SignatureID = "1.2.840.10045.4.3.3" }, ca.ErrPossession},
		{"ECDSA with SHA-1", csr, func(r *est.CSR) { r.SignatureID = "1.2.840.10045.4.1" }, ca.ErrPossession},
		{"ECDSA with NULL", csr, func(r *est.CSR) { r.SignatureParams = []byte{5, 0} }, ca.ErrPossession},
		{"RSA with other parameters", rsaCSR, func(r *est.CSR) { r.SignatureParams = []byte{0x30, 0} }, ca.ErrPossession},
		{"PSS without parameters", rsaCSR, func(r *est.CSR) { r.SignatureID, r.SignatureParams = "1.2.840.113549.1.1.10", nil }, ca.ErrPossession},
		{"no key", csr, func(r *est.CSR) { r.PublicKey = nil }, ca.ErrKey},
		{"P-224", csr, foreign(p224.Public()), ca.ErrKey},
		{"RSA of 1024 bits", csr, foreign(small.Public()), ca.ErrKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			changed := *test.csr
			test.change(&changed)
			_, err := ca.CheckPossession(&changed)
			wantKind(t, err, test.kind)
			if !strings.HasPrefix(err.Error(), "certification request: ") {
				t.Errorf("error %q", err)
			}
		})
	}
	absent := *rsaCSR
	absent.SignatureParams = nil
	if _, err := ca.CheckPossession(&absent); err != nil {
		t.Errorf("RSA without parameters: %v", err)
	}
}
