package codec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// payloadPile returns payloads of which some differ in the serial number alone
// and the others nearly so.
func payloadPile(t testing.TB) map[Encoding][][]byte {
	t.Helper()
	const head, tail = `{"ietf-voucher:voucher":{"assertion":"logged","created-on":"2026-01-02T03:04:05Z",`, `,"pinned-domain-cert":"MAA="}}`
	jsonPile := []string{
		head + `"serial-number":"S1"` + tail,
		head + `"serial-number":"S2"` + tail,
		head + `"serial-number":"a longer one, é"` + tail,
		head + `"serial-number":""` + tail,
		head + `"serial-number":" S1"` + tail,                            // for CheckSerial to refuse
		head + `"serial-number":"\u0053\u0031"` + tail,                   // escapes
		head + `"serial-number":"S\"1"` + tail,                           //
		head + `"serial-number":"\"\n"` + tail,                           // as long as a string without escapes that begins later
		head + `"serial-number":"S1\"` + tail,                            // never ends
		head + `"serial-number":"S` + "\x01" + `"` + tail,                // control character
		head + `"serial-number":"S` + "\xff" + `"` + tail,                // not UTF-8
		head + `"serial-number":"S1","serial-number":"S2"` + tail,        // twice, in front of what follows
		head + `"serial-number":"S1"` + tail + tail,                      // more behind
		head + `"serial-number":"S1"` + tail + " \n",                     // white space behind
		head + `"serial-number": "S1"` + tail,                            // and between
		head + `"serial-number":"S1" ` + tail,                            //
		head + `"serial-number":["S1"]` + tail,                           // no string
		head + `"serial-number":1` + tail,                                //
		head + `"serial-number":null` + tail,                             //
		head + `"serial-number":"S1","pinned-domain-cert":"MAA="` + tail, // another leaf twice
		head + `"serial-number":"S1","x":[1,{"y":"z"}]` + tail,           // unknown leaves
		head + `"serial-number":"S2","x":[1,{"y":"z"}]` + tail,           //
		head + `"x":"S1","serial-number":"S2"` + tail,                    //
		head + `"x":"S1"` + tail,                                         // no serial number
		`"S1"` + head + `"x":"S1"` + tail,                                // a string in front of one
		head + `"est-domain":"S1"` + tail,                                // another text in its place
		`{"ietf-voucher:voucher":{"serial-number":"S1","assertion":"logged","created-on":"2026-01-02T03:04:05Z"` + tail,
		`{"ietf-voucher:voucher":{"serial-number":"S22","assertion":"logged","created-on":"2026-01-02T03:04:05Z"` + tail,
		`{"ietf-voucher-request:voucher":{"serial-number":"S1"}}`,
		"", "{", head, head + `"serial-number":"S1`,
	}
	pile := map[Encoding][][]byte{}
	for _, p := range jsonPile {
		pile[EncodingJSON] = append(pile[EncodingJSON], []byte(p))
	}
	for _, serial := range []string{"S1", "S2", "S", "é", strings.Repeat("long ", 9), strings.Repeat("x", 300)} {
		v := fullVoucher()
		v.SerialNumber = []byte(serial)
		js, err1 := AppendVoucherJSON(nil, &v)
		cb, err2 := AppendVoucherCBOR(nil, &v)
		v.ExpiresOn, v.PinnedDomainCert = time.Time{}, v.PinnedDomainCert[:300]
		cb2, err3 := AppendVoucherCBOR(nil, &v)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		pile[EncodingJSON] = append(pile[EncodingJSON], js)
		pile[EncodingCBOR] = append(pile[EncodingCBOR], cb, cb2)
	}
	// {2451: {1: 1, 11: serial, 8: h'3000'}}, the serial number and what is
	// around it written in every way.
	const cborHead, cborTail = "\xa1\x19\x09\x93\xa3\x01\x01\x0b", "\x08\x42\x30\x00"
	for _, value := range []string{"\x62S1", "\x62S2", "\x60", "\x63abc", "\x78\x02S1", "\x79\x00\x02S1", "\x7b\x00\x00\x00\x00\x00\x00\x00\x02S1", // lengths of every size
		"\x7f\x62S1\xff", "\x7f\xff", "\x42S1", "\x01", "\xf6", "\x61\xff", "\x62S", "\x63S1", "\xd8\x20\x62S1", // chunks, other types, too short, tagged
		"\x62S1\x08\x42\x30\x00", "\x62S1\x0b\x62S2"} {
		pile[EncodingCBOR] = append(pile[EncodingCBOR], []byte(cborHead+value+cborTail), []byte(cborHead+value+cborTail+"\x00"))
	}
	pile[EncodingCBOR] = append(pile[EncodingCBOR], []byte("\xa1\x19\x09\x93\xbf\x01\x01\x0b\x62S1\x08\x42\x30\x00\xff"), []byte("\xa1\x19\x09\x93\xbf\x01\x01\x0b\x63S12\x08\x42\x30\x00\xff"),
		[]byte("\xa1\x19\x09\x93\xbf\x01\x01\x0b\x63S12\xff"), []byte(cborHead),
		[]byte("\xa1\x19\x09\x93\xa1\x01\x01"), []byte("\x62S1\xa1\x19\x09\x93\xa1\x01\x01")) // no serial number, then a string in front
	return pile
}

func (d *PayloadDecoder) read(e Encoding, b []byte, v *Voucher) error {
	if e == EncodingCBOR {
		return d.VoucherCBOR(b, v)
	}
	return d.VoucherJSON(b, v)
}

// agree reads b by a decoder that has read other payloads and by a fresh one of
// the same settings, and holds the results against each other.
func agree(t *testing.T, d *PayloadDecoder, e Encoding, b []byte) {
	t.Helper()
	before := d.memo.voucher
	kept := bytes.Clone(d.memo.octets)
	var got, want Voucher
	fresh := PayloadDecoder{Limits: d.Limits, Unknown: d.Unknown}
	err, wantErr := d.read(e, b, &got), fresh.read(e, b, &want)
	if fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Fatalf("%v %q after %q: %v, read alone: %v", e, b, kept, err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%v %q after %q:\n%+v, read alone\n%+v", e, b, kept, got, want)
	}
	if !d.Repeated() {
		return
	}
	before.SerialNumber, want.SerialNumber = nil, nil
	if err != nil || !reflect.DeepEqual(before, want) {
		t.Fatalf("%v %q after %q is called a repetition", e, b, kept)
	}
}

func TestWhatADecoderRemembersNeverShows(t *testing.T) {
	repeated := 0
	for e, pile := range payloadPile(t) {
		for _, unknown := range []UnknownPolicy{RefuseUnknown, KeepUnknown} {
			for _, first := range pile {
				for _, second := range pile {
					d := PayloadDecoder{Remember: true, Unknown: unknown}
					var v Voucher
					_ = d.read(e, first, &v)
					agree(t, &d, e, second)
					if d.Repeated() {
						repeated++
					}
					agree(t, &d, e, first)
				}
			}
		}
	}
	if repeated < 100 {
		t.Errorf("%d payloads were recognised: the test shows little", repeated)
	}
}

func TestADecoderReadsAnewWhenItsSettingsChange(t *testing.T) {
	for e, pile := range payloadPile(t) {
		for _, b := range pile {
			d := PayloadDecoder{Remember: true, Unknown: KeepUnknown}
			agree(t, &d, e, b)
			for _, change := range []func(){
				func() { d.Limits.VoucherBytes = max(len(b)-1, 1) },
				func() { d.Limits.VoucherBytes, d.Limits.Depth = 0, 2 },
				func() { d.Limits.Depth = 0 },
				func() { d.Unknown = RefuseUnknown },
				func() { d.Unknown = KeepUnknown },
				func() { d.Remember = false },
			} {
				change()
				agree(t, &d, e, b)
			}
			// As long as the limit allows, then longer by the serial number.
			d = PayloadDecoder{Remember: true, Limits: Limits{VoucherBytes: max(len(b), 1)}}
			for _, other := range pile {
				agree(t, &d, e, b)
				agree(t, &d, e, other)
			}
		}
	}
}

func TestVouchersOfARunAreRecognised(t *testing.T) {
	for _, e := range []Encoding{EncodingJSON, EncodingCBOR} {
		d := PayloadDecoder{Remember: true}
		read := func(v Voucher) {
			t.Helper()
			appendTo := AppendVoucherJSON
			if e == EncodingCBOR {
				appendTo = AppendVoucherCBOR
			}
			b, err := appendTo(nil, &v)
			if err != nil {
				t.Fatal(err)
			}
			agree(t, &d, e, b)
			clear(b) // what is remembered does not depend on the input
		}
		v := fullVoucher()
		for i, repeated := range []bool{false, true, true} {
			v.SerialNumber = []byte(strings.Repeat("x", 1+30*i))
			if read(v); d.Repeated() != repeated {
				t.Errorf("%v, voucher %d: repeated %v", e, i, d.Repeated())
			}
		}
		if v.Assertion = AssertionLogged; v.Assertion == fullVoucher().Assertion {
			t.Fatal("nothing was changed")
		}
		if read(v); d.Repeated() {
			t.Errorf("%v: another assertion is called a repetition", e)
		}
		var r VoucherRequest
		request, err := AppendRequestJSON(nil, &VoucherRequest{Voucher: v})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.RequestJSON(request, &r); err != nil || d.Repeated() {
			t.Errorf("%v: request: %v, repeated %v", e, err, d.Repeated())
		}
		if read(v); d.Repeated() {
			t.Errorf("%v: a request was read between, and its leaves overwritten what was remembered", e)
		}
		if read(v); !d.Repeated() {
			t.Errorf("%v: not recognised", e)
		}
		v.PinnedDomainCert = make([]byte, mostRemembered)
		if read(v); d.Repeated() {
			t.Errorf("%v: a payload too long to be remembered is called a repetition", e)
		}
	}
}

func TestMutatedPayloadsReadTheSameAfterTheirOriginal(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	structure := []byte("\"\\{}[],: \n\x00\x1f\x60\x61\x7f\xff\x80\xc2S1")
	repeated := 0
	for e, pile := range payloadPile(t) {
		for _, b := range pile {
			d := PayloadDecoder{Remember: true, Unknown: KeepUnknown}
			for range 300 {
				agree(t, &d, e, b)
				changed := bytes.Clone(b)
				for range rng.IntN(3) {
					if len(changed) == 0 {
						break
					}
					at := rng.IntN(len(changed))
					if d.memo.end > 0 && rng.IntN(2) == 0 { // at the serial number
						at = min(d.memo.begin+rng.IntN(d.memo.end-d.memo.begin), len(changed)-1)
					}
					switch c := structure[rng.IntN(len(structure))]; rng.IntN(3) {
					case 0:
						changed[at] = c
					case 1:
						changed = append(changed[:at], append([]byte{c}, changed[at:]...)...)
					default:
						changed = append(changed[:at], changed[at+1:]...)
					}
				}
				if agree(t, &d, e, changed); d.Repeated() && !bytes.Equal(changed, b) {
					repeated++
				}
			}
		}
	}
	if repeated < 100 {
		t.Errorf("%d changed payloads were recognised: the test shows little", repeated)
	}
}

// Any payload reads the same alone and after any other.
func FuzzPayloadAfterAnother(f *testing.F) {
	for e, pile := range payloadPile(f) {
		for i, b := range pile {
			f.Add(pile[0], b, e == EncodingCBOR)
			f.Add(b, pile[max(i-1, 0)], e == EncodingCBOR)
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte, inCBOR bool) {
		e := EncodingJSON
		if inCBOR {
			e = EncodingCBOR
		}
		d := PayloadDecoder{Remember: true, Unknown: KeepUnknown}
		agree(t, &d, e, first)
		agree(t, &d, e, second)
		agree(t, &d, e, first)
	})
}
