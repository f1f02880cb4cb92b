package codec

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func oddityCodes(r *Report) []OddityCode {
	var codes []OddityCode
	for _, o := range r.Oddities {
		codes = append(codes, o.Code)
	}
	return codes
}

func problemCodes(r *Report) []string {
	var codes []string
	for _, p := range r.Problems {
		codes = append(codes, p.Code)
	}
	return codes
}

func leafOf(t *testing.T, r *Report, name string) ReportLeaf {
	t.Helper()
	for _, l := range r.Payload.Leaves {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("no leaf %s among %v", name, r.Payload.Leaves)
	return ReportLeaf{}
}

func TestInspectNamesWhatIsOdd(t *testing.T) {
	for _, c := range []struct {
		file     string
		artefact string
		odd      []OddityCode
		problems []string
	}{
		{"http/rfc8995/voucher_00-D0-E5-F2-00-02.cms.der", "voucher", []OddityCode{OddContentData, OddNoChain, OddNonceText}, nil},
		{"http/rfc8995/parboiled_vr_00-D0-E5-F2-00-02.cms.der", "voucher-request", []OddityCode{OddContentData, OddNonceText}, nil},
		{"http/derived/voucher-econtent40.cms.der", "voucher", []OddityCode{OddNonceText}, nil},
		{"http/derived/voucher-no-signedattrs.cms.der", "voucher", []OddityCode{OddContentData}, []string{"no-signed-attributes"}},
		{"http/cms-detached/voucher-detached.cms.der", "", nil, []string{"detached"}},
		{"http/jws-voucher/voucher.jws.json", "voucher", []OddityCode{OddNoChain}, nil},
		{"http/rfc8366bis/voucher-jws.jws.json", "voucher", []OddityCode{OddNonceHex}, nil},
		{"http/prm/pvr.jws.json", "voucher-request", []OddityCode{OddStaleName}, nil},
		{"http/prm/voucher-countersigned.jws.json", "voucher", []OddityCode{OddSeveralSigners}, nil},
		{"http/jws-voucher-early/voucher.compact.jws", "", nil, []string{"serialisation"}},
		{"constrained/cbrski/voucher-with-x5bag.cose", "voucher", []OddityCode{OddArrayOfOne}, nil},
		{"constrained/constructed/voucher-untagged.cose", "voucher", []OddityCode{OddUntagged}, nil},
		{"constrained/constructed/bad-voucher-crit.cose", "voucher", nil, []string{"critical-header"}},
		{"constrained/constructed/bad-voucher-alg-unprotected.cose", "voucher", nil, []string{"algorithm"}},
		{"constrained/constructed/bad-voucher-der-signature.cose", "voucher", nil, []string{"signature-form"}},
		{"constrained/constructed/bad-voucher-nonce-length.cose", "voucher", nil, []string{"rule"}},
		{"constrained/constructed/bad-pvr-unsigned.cbor", "voucher-request", nil, []string{"unsigned"}},
		{"constrained/legacy/voucher_00-D0-E5-F2-00-03.vch", "", nil, []string{"algorithm", "legacy-sids"}},
		{"constrained/legacy/vr_00-D0-E5-F2-00-03.vrq", "", nil, []string{"algorithm", "legacy-sids"}},
		{"http/json/voucher-minimal.json", "voucher", nil, []string{"unsigned"}},
	} {
		r, err := Inspect(readVector(t, c.file), Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		artefact := ""
		if r.Payload != nil {
			artefact = r.Payload.Artefact
		}
		if artefact != c.artefact {
			t.Errorf("%s: artefact %q, want %q", c.file, artefact, c.artefact)
		}
		for _, want := range c.odd {
			if !slices.Contains(oddityCodes(r), want) {
				t.Errorf("%s: oddity %s is not named among %v", c.file, want, oddityCodes(r))
			}
		}
		for _, want := range c.problems {
			if !slices.Contains(problemCodes(r), want) {
				t.Errorf("%s: problem %s is not named among %v", c.file, want, r.Problems)
			}
		}
		if c.problems == nil && len(r.Problems) != 0 {
			t.Errorf("%s: unexpected problems %v", c.file, r.Problems)
		}
	}
}

func TestInspectShowsLeavesCertificatesAndInnerArtefacts(t *testing.T) {
	r, err := Inspect(readVector(t, "http/jws-voucher/rvr.jws.json"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := *leafOf(t, r, "serial-number").Text; got != "kit-987654321" {
		t.Errorf("serial-number %q", got)
	}
	inner := leafOf(t, r, "prior-signed-voucher-request").Inner
	if inner == nil || inner.Format != "jws" || inner.Payload.Artefact != "voucher-request" {
		t.Fatalf("inner artefact is %+v", inner)
	}
	proximity := leafOf(t, inner, "proximity-registrar-cert")
	if len(proximity.Certificates) != 1 || !strings.Contains(proximity.Certificates[0].Subject, "MySiteRegistrar") {
		t.Errorf("proximity certificate is %+v", proximity.Certificates)
	}
	if len(r.Signers) != 1 || r.Signers[0].Certificate == nil || r.Certificates[*r.Signers[0].Certificate].Key != "ECDSA P-256" {
		t.Errorf("signers %+v of %+v", r.Signers, r.Certificates)
	}
}

func TestInspectReadsEveryWrapping(t *testing.T) {
	s := newTestSigner(t, "ES256")
	for _, f := range []Format{FormatCMS, FormatJWS, FormatCOSE} {
		voucher := s.issue(t, s.compile(t, f, nil), "JADA123456789")
		std := base64.StdEncoding.EncodeToString(voucher)
		for wrapping, text := range map[string]string{
			"":                   string(voucher),
			"PEM":                string(pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: voucher})),
			"base64":             std[:64] + "\r\n" + std[64:] + "\n",
			"hexadecimal digits": " " + hex.EncodeToString(voucher) + "\n",
		} {
			r, err := Inspect([]byte(text), Limits{})
			if err != nil {
				t.Errorf("%v in %q: %v", f, wrapping, err)
				continue
			}
			if r.Wrapping != wrapping || r.Format != f.String() || len(r.Problems) != 0 {
				t.Errorf("%v in %q: reported as %s in %q with problems %v", f, wrapping, r.Format, r.Wrapping, r.Problems)
			}
			if got := *leafOf(t, r, "serial-number").Text; got != "JADA123456789" {
				t.Errorf("%v in %q: serial-number %q", f, wrapping, got)
			}
			if wrapping == "" && len(r.Oddities) != 0 {
				t.Errorf("%v: a voucher of our own is called odd: %v", f, r.Oddities)
			}
			var d EnvelopeDecoder
			var e Envelope
			err = d.Decode([]byte(text), &e)
			if wrapping != "" {
				wantFlaw(t, err, FlawWrapped)
				d.AllowWrapped = true
				err = d.Decode([]byte(text), &e)
			}
			if err != nil {
				t.Errorf("%v in %q: %v", f, wrapping, err)
			}
		}
	}
}

// Whatever lies in the folder of public vectors is either refused or reported
// in a form that survives JSON.
func TestInspectSurvivesEveryPublicFile(t *testing.T) {
	n := 0
	err := filepath.WalkDir(vectorFolder(t), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r, err := Inspect(b, Limits{})
		if err != nil {
			return nil
		}
		n++
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		var back Report
		return json.Unmarshal(text, &back)
	})
	if err != nil || n < 60 {
		t.Errorf("%d files reported: %v", n, err)
	}
}

func TestInspectNamesWhatVerifiersRefuseInAPayload(t *testing.T) {
	s := newTestSigner(t, "ES256")
	voucher := testVoucher(s.chain[1])
	voucher.SerialNumber = []byte("A1")
	cbor, err := AppendVoucherCBOR(nil, &voucher)
	if err != nil {
		t.Fatal(err)
	}
	voucher.ExpiresOn = voucher.ExpiresOn.AddDate(1000, 0, 0)
	outlives, err := AppendVoucherJSON(nil, &voucher)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		payload []byte
		problem string
	}{
		"CBOR in CMS":                       {cbor, "payload"},
		"expiry after the pinned one's end": {outlives, "rule"},
	} {
		encoder, err := NewEnvelopeEncoder(EnvelopeParams{Format: FormatCMS, Algorithm: s.id, Chain: s.chain})
		if err != nil {
			t.Fatal(err)
		}
		digest := s.digest(c.payload)
		signed := append(slices.Clone(encoder.AttributesPrefix()), digest...)
		b, err := encoder.AppendEnvelope(nil, c.payload, digest, s.sign(t, signed))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Inspect(b, Limits{})
		if err != nil || !slices.Equal(problemCodes(r), []string{c.problem}) {
			t.Errorf("%s: problems %v (%v), want %s", name, r.Problems, err, c.problem)
		}
	}
}
