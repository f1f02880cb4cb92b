package codec

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vectorFolder finds the public vectors: where VOUCHMILL_VECTORS says, or in
// shared/vectors beside a folder above this one.
func vectorFolder(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("VOUCHMILL_VECTORS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		at := filepath.Join(dir, "shared", "vectors")
		if _, err := os.Stat(at); err == nil {
			return at
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("public vectors are missing: set VOUCHMILL_VECTORS")
	}
	t.Skip("public vectors are not here: set VOUCHMILL_VECTORS")
	return ""
}

func readVector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectorFolder(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectorKey returns the public key of a certificate, PEM or DER.
func vectorKey(t testing.TB, name string) crypto.PublicKey {
	t.Helper()
	b := readVector(t, name)
	if found, err := Detect(b); err == nil && found.Wrapping != WrapNone {
		if b, err = found.Unwrap(nil); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(b)
	if err != nil {
		t.Fatal(err)
	}
	return cert.PublicKey
}

func sum256(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

// signerVerifies checks a signature with the certificate the envelope names.
func signerVerifies(t testing.TB, e *Envelope, s *EnvelopeSigner) bool {
	t.Helper()
	if s.CertIndex < 0 {
		t.Fatal("the envelope does not show its signer's certificate")
	}
	cert, err := x509.ParseCertificate(e.Certificates[s.CertIndex])
	if err != nil {
		t.Fatal(err)
	}
	return verifyRaw(cert.PublicKey, sum256, s.Signed, s.Signature)
}

func wantFlaw(t testing.TB, err error, flaw Flaw) {
	t.Helper()
	var refused *EnvelopeError
	if !errors.As(err, &refused) || refused.Flaw != flaw {
		t.Errorf("error is %v, want one with flaw %q", err, flaw)
	}
}

func hasOddity(e *Envelope, code OddityCode) bool {
	for _, o := range e.Oddities {
		if o.Code == code {
			return true
		}
	}
	return false
}

func TestPublishedCMSEnvelopes(t *testing.T) {
	for _, c := range []struct {
		name, payload string
		content       ContentType
		certs         int
	}{
		{"rfc8995/vr_00-D0-E5-F2-00-02", "rfc8995/vr_00-D0-E5-F2-00-02", ContentData, 1},
		{"rfc8995/parboiled_vr_00-D0-E5-F2-00-02", "rfc8995/parboiled_vr_00-D0-E5-F2-00-02", ContentData, 2},
		{"rfc8995/voucher_00-D0-E5-F2-00-02", "rfc8995/voucher_00-D0-E5-F2-00-02", ContentData, 1},
		{"rfc8366bis/vr_00-D0-E5-F2-00-02", "rfc8366bis/vr_00-D0-E5-F2-00-02", ContentData, 1},
		{"rfc8366bis/voucher_00-D0-E5-F2-00-02", "rfc8366bis/voucher_00-D0-E5-F2-00-02", ContentData, 1},
		{"derived/voucher-econtent40", "rfc8995/voucher_00-D0-E5-F2-00-02", ContentVoucher, 2},
		{"derived/rvr-nonceless", "derived/rvr-nonceless", ContentVoucher, 2},
	} {
		var d EnvelopeDecoder
		var e Envelope
		if err := d.Decode(readVector(t, "http/"+c.name+".cms.der"), &e); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		s := &e.Signers[0]
		if e.Format != FormatCMS || e.ContentType != c.content || len(e.Certificates) != c.certs || len(e.Signers) != 1 {
			t.Errorf("%s: %v, %v, %d certificates, %d signers", c.name, e.Format, e.ContentType, len(e.Certificates), len(e.Signers))
		}
		if !bytes.Equal(e.Payload, readVector(t, "http/"+c.payload+".payload.json")) {
			t.Errorf("%s: payload differs", c.name)
		}
		if !bytes.Equal(sum256(e.Payload), s.ContentDigest) || !signerVerifies(t, &e, s) {
			t.Errorf("%s: digest or signature does not verify", c.name)
		}
		if s.SigningTime.IsZero() || len(s.Signature) != 64 || len(s.SignatureDER) < 68 {
			t.Errorf("%s: signing time %v, raw signature of %d octets", c.name, s.SigningTime, len(s.Signature))
		}
		if c.content == ContentData && !hasOddity(&e, OddContentData) {
			t.Errorf("%s: id-data is not noted", c.name)
		}
	}
}

func TestBadCMSVectors(t *testing.T) {
	var d EnvelopeDecoder
	var e Envelope
	wantFlaw(t, d.Decode(readVector(t, "http/derived/voucher-no-signedattrs.cms.der"), &e), FlawNoAttributes)
	for _, name := range []string{"rvr-detached", "voucher-detached"} {
		wantFlaw(t, d.Decode(readVector(t, "http/cms-detached/"+name+".cms.der"), &e), FlawDetached)
	}
	if err := d.Decode(readVector(t, "http/derived/vr-tampered-serial.cms.der"), &e); err != nil {
		t.Fatal(err)
	}
	if s := &e.Signers[0]; bytes.Equal(sum256(e.Payload), s.ContentDigest) || !signerVerifies(t, &e, s) {
		t.Error("tampered content: the digest must differ and the signature hold")
	}
	if err := d.Decode(readVector(t, "http/derived/voucher-bad-signature.cms.der"), &e); err != nil {
		t.Fatal(err)
	}
	if signerVerifies(t, &e, &e.Signers[0]) {
		t.Error("a flipped bit in the signature verifies")
	}
}

func TestPublishedJWSEnvelopes(t *testing.T) {
	for name, signatures := range map[string]int{
		"jws-voucher/pvr": 1, "jws-voucher/rvr": 1, "jws-voucher/voucher": 1, "rfc8366bis/voucher-jws": 1,
		"prm/pvr": 1, "prm/rvr": 1, "prm/voucher": 1, "prm/voucher-countersigned": 2,
	} {
		var d EnvelopeDecoder
		var e Envelope
		if err := d.Decode(readVector(t, "http/"+name+".jws.json"), &e); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e.Format != FormatJWS || len(e.Signers) != signatures {
			t.Errorf("%s: %v with %d signatures", name, e.Format, len(e.Signers))
		}
		if !bytes.Equal(e.Payload, readVector(t, "http/"+name+".payload.json")) {
			t.Errorf("%s: payload differs", name)
		}
		for i := range e.Signers {
			s := &e.Signers[i]
			if string(s.JOSE) != "ES256" || s.CertIndex != i || s.CertCount != 1 || !signerVerifies(t, &e, s) {
				t.Errorf("%s: signature %d by %s, certificate %d: does not verify", name, i, s.JOSE, s.CertIndex)
			}
		}
		if !hasOddity(&e, OddNoChain) {
			t.Errorf("%s: the missing chain is not noted", name)
		}
	}
}

func TestEarlyCompactJWSIsRefusedByName(t *testing.T) {
	for _, name := range []string{"pvr", "rvr", "voucher"} {
		var d EnvelopeDecoder
		var e Envelope
		err := d.Decode(readVector(t, "http/jws-voucher-early/"+name+".compact.jws"), &e)
		wantFlaw(t, err, FlawSerialisation)
		if err == nil || !strings.Contains(err.Error(), "compact") {
			t.Errorf("%s: the error does not name the compact serialisation: %v", name, err)
		}
	}
}

func TestConstructedCOSEVectors(t *testing.T) {
	var list struct {
		Cases []struct {
			File, Why  string
			COSE       string `json:"cose_signature"`
			SignerName string `json:"signer_expected"`
		}
	}
	if err := json.Unmarshal(readVector(t, "constrained/constructed/expect.json"), &list); err != nil {
		t.Fatal(err)
	}
	refused := map[string]Flaw{
		"bad-pvr-unsigned.cbor":            FlawUnsigned,
		"bad-voucher-alg-missing.cose":     FlawAlgorithm,
		"bad-voucher-alg-unprotected.cose": FlawAlgorithm,
		"bad-voucher-crit.cose":            FlawCritical,
		"bad-voucher-der-signature.cose":   FlawSignature,
		"bad-voucher-tag98.cose":           FlawKind,
		"bad-voucher-trailing.cose":        FlawTrailing,
		"voucher-untagged.cose":            FlawUntagged,
	}
	for _, c := range list.Cases {
		b := readVector(t, "constrained/constructed/"+c.File)
		var d EnvelopeDecoder
		var e Envelope
		err := d.Decode(b, &e)
		if flaw, bad := refused[c.File]; bad {
			wantFlaw(t, err, flaw)
			if flaw != FlawUntagged {
				continue
			}
			d.AllowUntagged = true
			err = d.Decode(b, &e)
		}
		if err != nil {
			t.Errorf("%s (%s): %v", c.File, c.Why, err)
			continue
		}
		key := vectorKey(t, "constrained/cbrski/"+c.SignerName+".crt.der")
		s := &e.Signers[0]
		if got, want := verifyRaw(key, sum256, s.Signed, s.Signature), c.COSE == "verifies"; got != want {
			t.Errorf("%s (%s): signature verifies: %v, want %v", c.File, c.Why, got, want)
		}
	}
	if len(list.Cases) != 33 {
		t.Errorf("%d cases, want 33", len(list.Cases))
	}
}

func TestPublishedCBRSKIEnvelopes(t *testing.T) {
	for _, c := range []struct {
		name, payload, key string
		certs, index       int
	}{
		{"pvr", "pvr", "pledge", 0, -1},
		{"rvr", "rvr", "registrar", 2, 0},
		{"voucher", "voucher", "masa_ca", 0, -1},
		{"voucher-with-x5bag", "voucher", "masa_ca", 1, 0},
	} {
		var d EnvelopeDecoder
		var e Envelope
		b := readVector(t, "constrained/cbrski/"+c.name+".cose")
		if err := d.Decode(b, &e); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		s := &e.Signers[0]
		if !e.Tagged || s.COSE != -7 || len(e.Certificates) != c.certs || s.CertIndex != c.index {
			t.Errorf("%s: tagged %v, alg %d, %d certificates, signer %d", c.name, e.Tagged, s.COSE, len(e.Certificates), s.CertIndex)
		}
		if !bytes.Equal(e.Payload, readVector(t, "constrained/cbrski/"+c.payload+".payload.cbor")) {
			t.Errorf("%s: payload differs", c.name)
		}
		if !verifyRaw(vectorKey(t, "constrained/cbrski/"+c.key+".crt.der"), sum256, s.Signed, s.Signature) {
			t.Errorf("%s: signature does not verify", c.name)
		}
		if got, want := hasOddity(&e, OddArrayOfOne), c.name == "voucher-with-x5bag"; got != want {
			t.Errorf("%s: array of one noted: %v", c.name, got)
		}
	}
}

func TestStrippingLeavesWhatAPledgeGets(t *testing.T) {
	got, err := StripCertificates([]byte("kept"), readVector(t, "constrained/cbrski/voucher-with-x5bag.cose"))
	if err != nil {
		t.Fatal(err)
	}
	// The two published vouchers were signed apart, so all but the signature is compared.
	want := readVector(t, "constrained/cbrski/voucher.cose")
	if !bytes.HasPrefix(got, []byte("kept")) || len(got) != 4+len(want) || !bytes.Equal(got[4:len(got)-64], want[:len(want)-64]) {
		t.Errorf("stripped voucher of %d octets differs from the published one of %d", len(got)-4, len(want))
	}
	var d EnvelopeDecoder
	var e Envelope
	if err := d.Decode(got[4:], &e); err != nil {
		t.Fatal(err)
	}
	if !verifyRaw(vectorKey(t, "constrained/cbrski/masa_ca.crt.der"), sum256, e.Signers[0].Signed, e.Signers[0].Signature) {
		t.Error("the stripped voucher does not verify")
	}
}

func TestCOSEWorkingGroupExamples(t *testing.T) {
	refused := map[string]Flaw{
		"sign1-tests_sign-pass-01": FlawAlgorithm, "sign1-tests_sign-pass-03": FlawUntagged,
		"sign1-tests_sign-fail-01": FlawKind, "sign1-tests_sign-fail-04": FlawAlgorithm,
	}
	verify := map[string]bool{
		"ecdsa-examples_ecdsa-sig-01": true, "ecdsa-examples_ecdsa-sig-02": true, "ecdsa-examples_ecdsa-sig-03": true,
		"eddsa-examples_eddsa-sig-01": true, "RFC8152_Appendix_C_2_1": true,
		"sign1-tests_sign-pass-03": true,
	}
	files, err := filepath.Glob(filepath.Join(vectorFolder(t), "constrained/cose/*.json"))
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		var c coseExample
		if err := json.Unmarshal(readVector(t, "constrained/cose/"+name+".json"), &c); err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(c.Output.CBOR)
		if err != nil {
			t.Fatal(err)
		}
		var d EnvelopeDecoder
		var e Envelope
		err = d.DecodeCOSE(b, &e)
		if flaw, bad := refused[name]; bad {
			wantFlaw(t, err, flaw)
			if flaw != FlawUntagged {
				continue
			}
			d.AllowUntagged = true
			err = d.DecodeCOSE(b, &e)
		}
		if name == "ecdsa-examples_ecdsa-sig-04" {
			// ES512 over P-256: the profile binds an algorithm to its curve.
			wantFlaw(t, err, FlawSignature)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := &e.Signers[0]
		if got := verifyRaw(c.key(t), c.digest, s.Signed, s.Signature); got != verify[name] {
			t.Errorf("%s: verifies %v, want %v", name, got, verify[name])
		}
		tbs, err := hex.DecodeString(c.Intermediates.ToBeSigned)
		if err != nil {
			t.Fatal(err)
		}
		if verify[name] && !bytes.Equal(s.Signed, tbs) {
			t.Errorf("%s: Sig_structure %x, want %x", name, s.Signed, tbs)
		}
	}
}

// coseExample is a file of the COSE working group's examples.
type coseExample struct {
	Input struct {
		Sign0 struct {
			Key struct {
				Crv, X, Y string
				XHex      string `json:"x_hex"`
				YHex      string `json:"y_hex"`
			}
			Alg string
		}
	}
	Intermediates struct {
		ToBeSigned string `json:"ToBeSign_hex"`
	}
	Output struct{ CBOR string }
}

func (c *coseExample) digest(b []byte) []byte {
	switch c.Input.Sign0.Alg {
	case "ES384":
		s := sha512.Sum384(b)
		return s[:]
	case "ES512":
		s := sha512.Sum512(b)
		return s[:]
	default:
		return sum256(b)
	}
}

func (c *coseExample) key(t *testing.T) crypto.PublicKey {
	t.Helper()
	k := c.Input.Sign0.Key
	octets := func(b64, hexText string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(b64)
		if hexText != "" {
			b, err = hex.DecodeString(hexText)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	x := octets(k.X, k.XHex)
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
	if curve == nil {
		if k.Crv == "Ed25519" {
			return ed25519.PublicKey(x)
		}
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed
	for i, v := range [][]byte{x, octets(k.Y, k.YHex)} {
		new(big.Int).SetBytes(v).FillBytes(point[1+i*size : 1+(i+1)*size])
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestLegacyCOSEIsRefused(t *testing.T) {
	for _, name := range []string{"vr_00-D0-E5-F2-00-03.vrq", "parboiled_vr_00-D0-E5-F2-00-03.vrq", "voucher_00-D0-E5-F2-00-03.vch"} {
		var d EnvelopeDecoder
		var e Envelope
		wantFlaw(t, d.Decode(readVector(t, "constrained/legacy/"+name), &e), FlawAlgorithm)
	}
	for _, name := range []string{"cms-parboiled-request.bin", "cms-voucher2.bin"} {
		var d EnvelopeDecoder
		var e Envelope
		wantFlaw(t, d.Decode(readVector(t, "constrained/legacy/"+name), &e), FlawDetached)
	}
}
