package codec

import (
	"encoding/base64"
	"encoding/hex"
	"testing"
)

func TestDetect(t *testing.T) {
	s := newTestSigner(t, "ES256")
	cms := s.issue(t, s.compile(t, FormatCMS, nil), "A1")
	cose := s.issue(t, s.compile(t, FormatCOSE, nil), "A1")
	jws := s.issue(t, s.compile(t, FormatJWS, nil), "A1")
	for name, c := range map[string]struct {
		in   string
		want Detection
	}{
		"CMS":               {string(cms), Detection{Format: FormatCMS}},
		"BER":               {"\x30\x80\x06", Detection{Format: FormatCMS}},
		"COSE":              {string(cose), Detection{Format: FormatCOSE}},
		"untagged COSE":     {string(cose[1:]), Detection{Format: FormatCOSE}},
		"COSE of tag 98":    {"\xd8\x62\x84", Detection{Format: FormatCOSE}},
		"JWS":               {string(jws), Detection{Format: FormatJWS}},
		"compact JWS":       {"eyJhbGciOiJFUzI1NiJ9.e30.AAAA", Detection{Format: FormatJWS}},
		"bare JSON":         {"\xef\xbb\xbf {\n\"ietf-voucher:voucher\": {}}", Detection{Bare: true, Encoding: EncodingJSON}},
		"bare CBOR":         {"\xa1\x19\x09\x93\xa0", Detection{Bare: true, Encoding: EncodingCBOR}},
		"base64 of CMS":     {base64.StdEncoding.EncodeToString(cms), Detection{Format: FormatCMS, Wrapping: WrapBase64}},
		"base64 of COSE":    {base64.StdEncoding.EncodeToString(cose), Detection{Format: FormatCOSE, Wrapping: WrapBase64}},
		"base64 of JWS":     {base64.RawStdEncoding.EncodeToString(jws), Detection{Format: FormatJWS, Wrapping: WrapBase64}},
		"base64url of JSON": {base64.RawURLEncoding.EncodeToString([]byte(`{"ietf-voucher:voucher":{"serial-number":"~~~???"}}`)), Detection{Bare: true, Encoding: EncodingJSON, Wrapping: WrapBase64URL}},
		"digits of CMS":     {hex.EncodeToString(cms), Detection{Format: FormatCMS, Wrapping: WrapHex}},
		"digits of COSE":    {hex.EncodeToString(cose), Detection{Format: FormatCOSE, Wrapping: WrapHex}},
		"PEM":               {"-----BEGIN CMS-----\nMIIBAA==\n-----END CMS-----\n", Detection{Format: FormatCMS, Wrapping: WrapPEM}},
	} {
		got, err := Detect([]byte(c.in))
		got.input = nil
		if err != nil || got.Format != c.want.Format || got.Wrapping != c.want.Wrapping || got.Bare != c.want.Bare || got.Encoding != c.want.Encoding {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	for _, in := range []string{"", "x", "hello, world", "\x30\x03\x02\x01\x01", "\x00\x01", "3q2+7w==", "<xml/>"} {
		_, err := Detect([]byte(in))
		wantFlaw(t, err, FlawUnrecognised)
	}
}

func TestUnwrapChecksAllOfTheText(t *testing.T) {
	s := newTestSigner(t, "ES256")
	voucher := s.issue(t, s.compile(t, FormatCMS, nil), "A1")
	for name, text := range map[string]string{
		"base64": base64.StdEncoding.EncodeToString(voucher) + "*",
		"hex":    hex.EncodeToString(voucher) + "0",
		"PEM":    "-----BEGIN CMS-----\nMIIBAA==\n-----END CMS-----\nmore",
	} {
		d := EnvelopeDecoder{AllowWrapped: true}
		var e Envelope
		if err := d.Decode([]byte(text), &e); err == nil {
			t.Errorf("%s with something behind it is taken", name)
		}
	}
}

func TestBrokenPEMIsNamed(t *testing.T) {
	block := "-----BEGIN CMS-----\nMIAGCSqGSIb3DQEHAqCA\n-----END CMS-----\n"
	for text, want := range map[string]Flaw{
		block + block:      FlawTrailing,
		block[:30]:         FlawMalformed,
		block + "signed\n": FlawTrailing,
		"-----BEGIN X-----\nAAAA\n-----END X-----\n": FlawUnrecognised,
	} {
		_, err := Detect([]byte(text))
		wantFlaw(t, err, want)
	}
}
