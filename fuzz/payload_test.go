package fuzz

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/vouchmill/vouchmill/codec"
)

// payloadErrors holds that a refusal is one of the documented types.
func payloadErrors(t *testing.T, err error) {
	t.Helper()
	if !isA[*codec.DecodeError](err) && !isA[*codec.LimitError](err) && !isA[*codec.UnknownLeafError](err) &&
		!isA[*codec.TopLevelError](err) && !isA[*codec.LegacySIDError](err) {
		t.Fatalf("error of type %T: %v", err, err)
	}
}

// payloadForm is one artefact in one encoding: how it is read and written.
type payloadForm[T any] struct {
	decode func(*codec.PayloadDecoder, []byte, *T) error
	encode func([]byte, *T) ([]byte, error)
	leaves func(*T) *codec.Voucher
}

var (
	voucherJSON = payloadForm[codec.Voucher]{(*codec.PayloadDecoder).VoucherJSON, codec.AppendVoucherJSON, voucherLeaves}
	voucherCBOR = payloadForm[codec.Voucher]{(*codec.PayloadDecoder).VoucherCBOR, codec.AppendVoucherCBOR, voucherLeaves}
	requestJSON = payloadForm[codec.VoucherRequest]{(*codec.PayloadDecoder).RequestJSON, codec.AppendRequestJSON, requestLeaves}
	requestCBOR = payloadForm[codec.VoucherRequest]{(*codec.PayloadDecoder).RequestCBOR, codec.AppendRequestCBOR, requestLeaves}
)

func voucherLeaves(v *codec.Voucher) *codec.Voucher        { return v }
func requestLeaves(r *codec.VoucherRequest) *codec.Voucher { return &r.Voucher }

// roundTrip decodes b under both policies, encodes what came out and decodes
// that again. It returns the artefact, nil where b is refused.
func roundTrip[T any](t *testing.T, b []byte, form payloadForm[T]) *T {
	t.Helper()
	input := bytes.Clone(b)
	keeps := codec.PayloadDecoder{Unknown: codec.KeepUnknown}
	v := new(T)
	var err error
	frugal(t, len(b), func() { err = form.decode(&keeps, b, v) })
	var refuses codec.PayloadDecoder
	strict := new(T)
	strictErr := form.decode(&refuses, b, strict)
	if err != nil {
		payloadErrors(t, err)
		if strictErr == nil {
			t.Fatalf("unknown leaves are kept: %v; refused: accepted", err)
		}
		return nil
	}
	leaves := form.leaves(v)
	switch {
	case len(leaves.Unknown) == 0:
		must(t, strictErr)
		same(t, "the artefact under the stricter policy", strict, v)
	case !isA[*codec.UnknownLeafError](strictErr):
		t.Fatalf("%d unknown leaves are no error but %v", len(leaves.Unknown), strictErr)
	}
	encoded, err := form.encode(nil, v)
	must(t, err)
	back := new(T)
	again := codec.PayloadDecoder{Unknown: codec.KeepUnknown, Limits: codec.Limits{VoucherBytes: 1 << 20, RequestBytes: 1 << 20}}
	must(t, form.decode(&again, encoded, back))
	twice, err := form.encode(nil, back)
	must(t, err)
	sortUnknown(leaves) // CBOR writes them in the order of their SIDs
	sortUnknown(form.leaves(back))
	same(t, "the artefact decoded again", back, v)
	if !bytes.Equal(twice, encoded) {
		t.Fatalf("encoded once %q, then %q", encoded, twice)
	}
	if !bytes.Equal(b, input) {
		t.Fatal("decoding changed its input")
	}
	return v
}

func sortUnknown(v *codec.Voucher) {
	slices.SortStableFunc(v.Unknown, func(a, b codec.UnknownLeaf) int {
		return cmp.Or(cmp.Compare(a.SID, b.SID), bytes.Compare(a.Name, b.Name))
	})
}

// crossed brings a voucher of one encoding into the other and back.
func crossed(t *testing.T, v *codec.Voucher, there, back payloadForm[codec.Voucher]) {
	t.Helper()
	if len(v.Unknown) != 0 {
		return
	}
	plain := *v
	plain.NonceText = nil // text is JSON's alone
	b, err := there.encode(nil, &plain)
	must(t, err)
	wide := codec.Limits{VoucherBytes: 1 << 20}
	d, other := codec.PayloadDecoder{Limits: wide}, codec.PayloadDecoder{Limits: wide}
	var middle, end codec.Voucher
	must(t, there.decode(&d, b, &middle))
	b, err = back.encode(nil, &middle)
	must(t, err)
	must(t, back.decode(&other, b, &end))
	end.NonceText, middle.NonceText = nil, nil
	same(t, "the voucher brought there and back", end, plain)
}

// sniffs holds that Sniff knows what a decoder accepted.
func sniffs(t *testing.T, b []byte, encoding codec.Encoding, artefact codec.Artefact) {
	t.Helper()
	found, err := codec.Sniff(b)
	must(t, err)
	if found.Encoding != encoding || found.Artefact != artefact || found.Legacy != "" {
		t.Fatalf("a %v in %v is taken for %+v", artefact, encoding, found)
	}
}

func FuzzVoucherJSON(f *testing.F) {
	seeds(f, "payload")
	vectorSeeds(f, ".payload.json", "voucher-minimal.json", "voucher-ephemeral.json", "voucher-nonceless.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		v := roundTrip(t, b, voucherJSON)
		if v == nil {
			return
		}
		if !json.Valid(b) || !utf8.Valid(b) {
			t.Fatal("what was accepted is not JSON in UTF-8")
		}
		sniffs(t, b, codec.EncodingJSON, codec.ArtefactVoucher)
		jsonAgrees(t, b, v)
		crossed(t, v, voucherCBOR, voucherJSON)
	})
}

// jsonAgrees compares what encoding/json makes of the same octets.
func jsonAgrees(t *testing.T, b []byte, v *codec.Voucher) {
	t.Helper()
	var top map[string]map[string]any
	must(t, json.Unmarshal(b, &top))
	if len(top) != 1 {
		t.Fatalf("encoding/json sees %d top-level members", len(top))
	}
	for _, members := range top {
		if got, is := members["serial-number"].(string); is != (v.SerialNumber != nil) || got != string(v.SerialNumber) {
			t.Fatalf("serial-number is %q for encoding/json, %q here", got, v.SerialNumber)
		}
		if text, is := members["pinned-domain-cert"].(string); is {
			octets, err := base64.StdEncoding.DecodeString(text)
			if err != nil || !bytes.Equal(octets, v.PinnedDomainCert) {
				t.Fatalf("pinned-domain-cert is %x for encoding/base64 (%v), %x here", octets, err, v.PinnedDomainCert)
			}
		}
		if text, is := members["created-on"].(string); is {
			if at, err := time.Parse(time.RFC3339Nano, text); err == nil && !at.Equal(v.CreatedOn) {
				t.Fatalf("created-on is %v for package time, %v here", at, v.CreatedOn)
			}
		}
		if text, is := members["assertion"].(string); is != (v.Assertion != codec.AssertionUnset) || is && text != v.Assertion.String() {
			t.Fatalf("assertion is %q for encoding/json, %v here", text, v.Assertion)
		}
	}
}

func FuzzRequestJSON(f *testing.F) {
	seeds(f, "payload")
	vectorSeeds(f, ".payload.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		if roundTrip(t, b, requestJSON) == nil {
			return
		}
		if !json.Valid(b) || !utf8.Valid(b) {
			t.Fatal("what was accepted is not JSON in UTF-8")
		}
		sniffs(t, b, codec.EncodingJSON, codec.ArtefactRequest)
	})
}

// strictCBOR is RFC 8949 as fxamacker reads it: well-formed, no key twice.
var strictCBOR = func() cbor.DecMode {
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 32, IntDec: cbor.IntDecConvertNone}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

func FuzzVoucherCBOR(f *testing.F) {
	seeds(f, "payload")
	vectorSeeds(f, ".payload.cbor")
	f.Fuzz(func(t *testing.T, b []byte) {
		v := roundTrip(t, b, voucherCBOR)
		if v == nil {
			return
		}
		if err := strictCBOR.Wellformed(b); err != nil {
			t.Fatalf("fxamacker/cbor refuses what was accepted: %v", err)
		}
		var any map[any]any
		if err := strictCBOR.Unmarshal(b, &any); err == nil && len(any) != 1 {
			t.Fatalf("fxamacker/cbor sees %d top-level members", len(any))
		}
		sniffs(t, b, codec.EncodingCBOR, codec.ArtefactVoucher)
		crossed(t, v, voucherJSON, voucherCBOR)
	})
}

func FuzzRequestCBOR(f *testing.F) {
	seeds(f, "payload")
	vectorSeeds(f, ".payload.cbor")
	f.Fuzz(func(t *testing.T, b []byte) {
		if roundTrip(t, b, requestCBOR) == nil {
			return
		}
		if err := strictCBOR.Wellformed(b); err != nil {
			t.Fatalf("fxamacker/cbor refuses what was accepted: %v", err)
		}
		sniffs(t, b, codec.EncodingCBOR, codec.ArtefactRequest)
	})
}

func FuzzSniff(f *testing.F) {
	seeds(f, "payload")
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := codec.Sniff(b)
		if err != nil {
			return
		}
		if found.Encoding == codec.EncodingUnknown || found.Name != "" && found.SID != 0 {
			t.Fatalf("%+v", found)
		}
		if found.Artefact != codec.ArtefactUnknown && found.Legacy != "" {
			t.Fatalf("of today and abandoned at once: %+v", found)
		}
	})
}

// FuzzLeaves goes the other way: what encoding/json and fxamacker/cbor write of
// a sound voucher is read here as what it was, and the CBOR written here is the
// core deterministic encoding that fxamacker/cbor writes.
func FuzzLeaves(f *testing.F) {
	f.Add("JADA123456789", uint8(2), int64(1_790_000_000), []byte("nonce-of-16-octs"), []byte{0x30, 0x00}, "https://example.com/<a>")
	f.Add("Größe \u2028 \"7\"\\", uint8(0), int64(-1), []byte(nil), []byte{4}, "")
	f.Fuzz(func(t *testing.T, serial string, assertion uint8, created int64, nonce, pin []byte, url string) {
		if !utf8.ValidString(serial) || !utf8.ValidString(url) || codec.CheckSerial([]byte(serial), 64) != nil || len(pin) == 0 || len(pin) > 1<<12 || len(url) > 1<<12 {
			return
		}
		want := codec.Voucher{
			SerialNumber: []byte(serial), PinnedDomainCert: pin, EstDomain: []byte(url),
			Assertion: codec.AssertionVerified + codec.Assertion(assertion%4),
			CreatedOn: time.Unix(created%250_000_000_000, 0).UTC(),
		}
		if y := want.CreatedOn.Year(); y < 1 || y > 9999 || want.CreatedOn.IsZero() {
			return
		}
		if len(nonce) >= 8 && len(nonce) <= 32 {
			want.Nonce = nonce
		}
		date := want.CreatedOn.Format(time.RFC3339)
		named := map[string]any{"serial-number": serial, "pinned-domain-cert": pin, "est-domain": url, "assertion": want.Assertion.String(), "created-on": date}
		keyed := map[uint64]any{1: uint64(want.Assertion - codec.AssertionVerified), 2: date, 8: pin, 11: serial, 13: url}
		if want.Nonce != nil {
			named["nonce"], keyed[7] = nonce, nonce
		}
		text, err := json.Marshal(map[string]any{"ietf-voucher:voucher": named})
		must(t, err)
		readsAs(t, text, voucherJSON, &want)

		deterministic, err := cbor.CoreDetEncOptions().EncMode()
		must(t, err)
		octets, err := deterministic.Marshal(map[uint64]any{2451: keyed})
		must(t, err)
		readsAs(t, octets, voucherCBOR, &want)
		ours, err := codec.AppendVoucherCBOR(nil, &want)
		must(t, err)
		if !bytes.Equal(ours, octets) {
			t.Fatalf("written here as %x, by fxamacker/cbor as %x", ours, octets)
		}
	})
}

func readsAs(t *testing.T, b []byte, form payloadForm[codec.Voucher], want *codec.Voucher) {
	t.Helper()
	var d codec.PayloadDecoder
	var v codec.Voucher
	if err := form.decode(&d, b, &v); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	v.NonceText = nil
	same(t, "the voucher", &v, want)
}
