package codec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// payloadVector reads a public vector in place.
func payloadVector(t testing.TB, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(payloadVectorDir(t), filepath.Join(elem...)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func payloadVectorDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("VOUCHMILL_VECTORS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		candidate := filepath.Join(dir, "..", "shared", "vectors")
		if st, err := os.Stat(candidate); err == nil && st.IsDir() {
			return candidate
		}
		dir = filepath.Dir(dir)
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("the vectors are missing: set VOUCHMILL_VECTORS")
	}
	t.Skip("no vectors: set VOUCHMILL_VECTORS to their folder")
	return ""
}

// cosePayload takes the payload out of a COSE_Sign1, tagged or not.
func cosePayload(t testing.TB, b []byte) []byte {
	t.Helper()
	var tag cbor.RawTag
	if err := cbor.Unmarshal(b, &tag); err == nil {
		b = tag.Content
	}
	var parts []any
	if err := cbor.Unmarshal(b, &parts); err != nil || len(parts) != 4 {
		t.Fatalf("no COSE_Sign1: %v", err)
	}
	return parts[2].([]byte)
}

func TestPublishedCBORPayloadsDecodeAndComeBackIdentical(t *testing.T) {
	d := PayloadDecoder{}
	for _, name := range []string{"pvr", "rvr"} {
		b := payloadVector(t, "constrained", "cbrski", name+".payload.cbor")
		var r VoucherRequest
		if err := d.RequestCBOR(b, &r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := r.Validate(Rules{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if string(r.SerialNumber) != "JADA123456789" || hex.EncodeToString(r.Nonce) != "23bfbbc9c2bcf213" || r.Assertion != AssertionProximity {
			t.Errorf("%s: serial %q nonce %x assertion %v", name, r.SerialNumber, r.Nonce, r.Assertion)
		}
		if name == "rvr" && !bytes.Equal(r.PriorSignedVoucherRequest, payloadVector(t, "constrained", "cbrski", "pvr.cose")) {
			t.Error("prior-signed-voucher-request is not pvr.cose")
		}
		if got, err := AppendRequestCBOR(nil, &r); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s re-encoded: %x, %v, want %x", name, got, err, b)
		}
	}
	b := payloadVector(t, "constrained", "cbrski", "voucher.payload.cbor")
	var v Voucher
	if err := d.VoucherCBOR(b, &v); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(v.PinnedDomainCert, payloadVector(t, "constrained", "cbrski", "voucher-pinned-domain-cert.der")) ||
		formatDate(v.CreatedOn) != "2022-12-06T20:23:30.708Z" || v.DomainCertRevocationChecks != BoolFalse {
		t.Errorf("voucher leaves differ: %+v", v)
	}
	if got, err := AppendVoucherCBOR(nil, &v); err != nil || !bytes.Equal(got, b) {
		t.Errorf("voucher re-encoded: %x, %v, want %x", got, err, b)
	}
}

// The payload decides these cases of the constructed set; the others fail on
// the envelope or on a comparison with something outside.
func TestConstructedCBORPayloadsAreJudgedAsTheirIndexSays(t *testing.T) {
	for name, want := range map[string]error{
		"voucher-matching-nonce": nil, "voucher-pinned-pubk": nil, "voucher-pinned-pubk-sha256": nil, "voucher-names": nil,
		"voucher-mixed-keys": nil, "voucher-qualified-inner-name": nil, "voucher-indefinite": nil, "voucher-nonceless": nil,
		"voucher-single-x5bag": nil, "voucher-untagged": nil,
		"bad-voucher-nonce-length": new(RuleError), "bad-voucher-assertion-text": ErrType, "bad-voucher-assertion-9": ErrValue,
		"bad-voucher-tag0-date": ErrType, "bad-voucher-dup-key": ErrDuplicate, "bad-voucher-request-sid": new(TopLevelError),
		"bad-voucher-absolute-sids": new(UnknownLeafError),
	} {
		var v Voucher
		var d PayloadDecoder
		err := d.VoucherCBOR(cosePayload(t, payloadVector(t, "constrained", "constructed", name+".cose")), &v)
		if err == nil {
			err = v.Validate(Rules{})
		}
		if !sameError(err, want) {
			t.Errorf("%s: got %v, want %T %v", name, err, want, want)
		}
		if want == nil && string(v.SerialNumber) != "JADA123456789" {
			t.Errorf("%s: serial %q", name, v.SerialNumber)
		}
	}
}

// sameError compares a sentinel by errors.Is and a typed error by its type.
func sameError(err, want error) bool {
	switch want.(type) {
	case *RuleError:
		return errors.As(err, new(*RuleError))
	case *TopLevelError:
		return errors.As(err, new(*TopLevelError))
	case *UnknownLeafError:
		return errors.As(err, new(*UnknownLeafError))
	case *LimitError:
		return errors.As(err, new(*LimitError))
	}
	return errors.Is(err, want)
}

func TestLegacySIDFamiliesAreNamedAndRefused(t *testing.T) {
	for _, name := range []string{"voucher_00-D0-E5-F2-00-03.vch", "vr_00-D0-E5-F2-00-03.vrq", "parboiled_vr_00-D0-E5-F2-00-03.vrq"} {
		b := cosePayload(t, payloadVector(t, "constrained", "legacy", name))
		s, err := Sniff(b)
		if err != nil || s.Legacy == "" || s.Encoding != EncodingCBOR || s.Artefact != ArtefactUnknown {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		var d PayloadDecoder
		var legacy *LegacySIDError
		if err := d.VoucherCBOR(b, new(Voucher)); !errors.As(err, &legacy) || legacy.SID != s.SID {
			t.Errorf("%s as voucher: %v", name, err)
		}
		if err := d.RequestCBOR(b, new(VoucherRequest)); !errors.As(err, &legacy) {
			t.Errorf("%s as request: %v", name, err)
		}
	}
}

func TestSIDTablesEqualThePublishedSIDFiles(t *testing.T) {
	for file, want := range map[string]func(leafID) uint16{
		"ietf-voucher@2025-12-18.sid":         func(id leafID) uint16 { return leaves[id].voucher },
		"ietf-voucher-request@2025-12-18.sid": func(id leafID) uint16 { return leaves[id].request },
	} {
		var sids struct {
			File struct {
				Items []struct {
					Namespace, Identifier string
					SID                   uint16 `json:"sid,string"`
				} `json:"item"`
			} `json:"ietf-sid-file:sid-file"`
		}
		if err := json.Unmarshal(payloadVector(t, "constrained", "rfc8366bis", file), &sids); err != nil {
			t.Fatal(err)
		}
		count := 0
		for _, item := range sids.File.Items {
			_, leaf, ok := strings.Cut(item.Identifier, ":voucher/")
			if !ok || item.Namespace != "data" {
				continue
			}
			id := leafByName([]byte(leaf), ArtefactRequest)
			if id == leafNone || want(id) != item.SID {
				t.Errorf("%s: %s has SID %d, our table says %d", file, leaf, item.SID, want(id))
			}
			count++
		}
		ours := 0
		for id := leafNone + 1; id < leafCount; id++ {
			if want(id) != 0 {
				ours++
			}
		}
		if count != ours || count < 15 {
			t.Errorf("%s has %d leaves, our table %d", file, count, ours)
		}
	}
}

func TestPublishedJSONPayloadsDecode(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(payloadVectorDir(t), "http", "*", "*.payload.json"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d payloads, %v", len(files), err)
	}
	d := PayloadDecoder{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Sniff(b)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		var tree map[string]map[string]any
		if err := json.Unmarshal(b, &tree); err != nil {
			t.Fatal(err)
		}
		r := VoucherRequest{}
		if s.Artefact == ArtefactVoucher {
			err = d.VoucherJSON(b, &r.Voucher)
		} else {
			err = d.RequestJSON(b, &r)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if s.Artefact == ArtefactVoucher {
			err = r.Voucher.Validate(Rules{})
		} else {
			err = r.Validate(Rules{})
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if got := tree[s.Name]["serial-number"]; got != string(r.SerialNumber) {
			t.Errorf("%s: serial %q, encoding/json reads %q", file, r.SerialNumber, got)
		}
		if got, ok := tree[s.Name]["nonce"]; ok != (r.NonceText != nil) || ok && got != string(r.NonceText) {
			t.Errorf("%s: nonce %q, encoding/json reads %q", file, r.NonceText, got)
		}
	}
}

func TestDraftExamplesWithPlaceholdersDecodeOnceTheirBase64IsReal(t *testing.T) {
	d := PayloadDecoder{}
	for _, name := range []string{"voucher-ephemeral.json", "voucher-minimal.json", "voucher-nonceless.json"} {
		b := payloadVector(t, "http", "json", name)
		var v Voucher
		if err := d.VoucherJSON(b, &v); !errors.Is(err, ErrValue) {
			t.Errorf("%s: placeholder base64 with stray trailing bits: %v, want a refusal", name, err)
		}
		b = bytes.ReplaceAll(b, []byte("base64encodedvalue=="), []byte("AAECAwQFBgcICQoLDA=="))
		if err := d.VoucherJSON(b, &v); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := v.Validate(Rules{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "voucher-nonceless.json" && v.DomainCertRevocationChecks != BoolTrue {
			t.Error(`the string "true" is not read as a boolean`)
		}
	}
}

func TestRealDeviceCertificatesStateTheirFacts(t *testing.T) {
	parse := func(elem ...string) *IDevID {
		b := payloadVector(t, elem...)
		if block, _ := pem.Decode(b); block != nil {
			b = block.Bytes
		}
		c, err := ParseIDevID(b)
		if err != nil {
			t.Fatalf("%v: %v", elem, err)
		}
		return c
	}
	sudi := parse("http", "idevid", "cisco-sudi-2017.pem")
	if s, err := sudi.Serial(SerialFromSubject); err != nil || string(s) != "PID:C9500-16X SN:FCW2117A56M" || sudi.Issuer() != nil {
		t.Errorf("cisco 2017: %q, %v, issuer %x", s, err, sudi.Issuer())
	}
	ha := parse("http", "idevid", "cisco-ha-sudi-2023.pem")
	if got := hex.EncodeToString(ha.Issuer()); got != "041830168014ea6ba3b9c113977e1bfb3a8d686007395f8748fa" {
		t.Errorf("cisco 2023: issuer %s", got)
	}
	huawei := parse("http", "idevid", "huawei-iak-2019.pem")
	var missing *SerialError
	if _, err := huawei.Serial(SerialFromSubject); !errors.As(err, &missing) || !strings.Contains(err.Error(), "2102351TQD10K1000126") {
		t.Errorf("huawei subject: %v, want an error that shows the CN", err)
	}
	if s, err := huawei.Serial(SerialFromCommonName); err != nil || string(s) != "2102351TQD10K1000126.huawei.com" {
		t.Errorf("huawei cn: %q, %v", s, err)
	}
	pledge := parse("http", "cbrski-certs", "pledge.der")
	if s, err := pledge.Serial(SerialFromSubject); err != nil || string(s) != "JADA123456789" || pledge.MASAURL != "masa.stok.nl" ||
		hex.EncodeToString(pledge.Issuer()) != "041830168014cb8d98ca74c51b58dde7acef869a9443a8d666a6" || pledge.NotAfter.Year() != 9999 {
		t.Errorf("pledge: %q %v %q %x %v", s, err, pledge.MASAURL, pledge.Issuer(), pledge.NotAfter)
	}
	old := parse("http", "rfc8995", "idevid_00-D0-E5-F2-00-02.crt")
	if s, err := old.Serial(SerialFromSubject); err != nil || string(s) != "00-D0-E5-F2-00-02" || old.MASAURL != "highway-test.example.com:9443" || old.Issuer() != nil {
		t.Errorf("rfc8995: %q %v %q", s, err, old.MASAURL)
	}
}
