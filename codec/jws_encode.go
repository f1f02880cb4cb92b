package codec

import (
	"encoding/base64"
	"fmt"
)

// base64url is the alphabet of JWS, without padding (RFC 7515 §2), base64std
// that of x5c and of binary leaves in JSON.
var (
	base64url = base64.RawURLEncoding
	base64std = base64.StdEncoding
)

// jwsType is the typ of a voucher and of a voucher-request alike
// (draft-ietf-anima-jws-voucher §3.3).
const jwsType = "voucher-jws+json"

const (
	jwsOpening   = `{"payload":"`
	jwsProtected = `","signatures":[{"protected":"`
	jwsSignature = `","signature":"`
	jwsClosing   = `"}]}`
)

// jwsFrame is a JWS in general JSON serialisation with one signature.
type jwsFrame struct {
	algorithm AlgorithmID
	protected []byte // base64url of the protected header
	signed    []byte // protected and the dot after it
	middle    []byte // from behind the payload to before the signature
}

func newJWSFrame(p *EnvelopeParams) (*jwsFrame, error) {
	if forbiddenJOSE(p.Algorithm.JOSE) {
		return nil, fmt.Errorf("JWS algorithm %q cannot sign a voucher: take an asymmetric one, such as ES256", p.Algorithm.JOSE)
	}
	if len(p.Chain) == 0 {
		return nil, fmt.Errorf("JWS names its signer by x5c: give the signing chain, signer first")
	}
	header := AppendJSONString([]byte(`{"alg":`), []byte(p.Algorithm.JOSE))
	header = append(header, `,"typ":"`+jwsType+`","x5c":[`...)
	for i, cert := range p.Chain {
		if i > 0 {
			header = append(header, ',')
		}
		header = append(header, '"')
		header = base64std.AppendEncode(header, cert)
		header = append(header, '"')
	}
	header = append(header, `]}`...)

	f := &jwsFrame{algorithm: p.Algorithm, protected: base64url.AppendEncode(nil, header)}
	f.signed = append(append([]byte{}, f.protected...), '.')
	f.middle = append([]byte(jwsProtected), f.protected...)
	f.middle = append(f.middle, jwsSignature...)
	return f, nil
}

func (f *jwsFrame) appendSignedHead(dst []byte, _ int) []byte { return append(dst, f.signed...) }

func (f *jwsFrame) attributesPrefix() []byte { return nil }

func (f *jwsFrame) appendHead(dst []byte, _ int, _ []byte) []byte { return append(dst, jwsOpening...) }

func (f *jwsFrame) appendFoot(dst, _, signature []byte) []byte {
	dst = append(dst, f.middle...)
	dst = base64url.AppendEncode(dst, signature)
	return append(dst, jwsClosing...)
}

func (f *jwsFrame) maxOverhead() int {
	return len(jwsOpening) + len(f.middle) + base64url.EncodedLen(f.algorithm.SignatureSize) + len(jwsClosing)
}

func (f *jwsFrame) appendConstants(dst []byte) []byte {
	for _, c := range [][]byte{[]byte(jwsOpening), f.signed, f.middle, []byte(jwsClosing)} {
		dst = appendConstant(dst, c)
	}
	return dst
}

const base64urlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// encodeInPlace turns dst[start:] into its base64url. The octets are moved to
// the end of the room they will take and encoded from there towards the front:
// a group of three is read before the four places it becomes are written.
func encodeInPlace(dst []byte, start int) []byte {
	n := len(dst) - start
	size := base64url.EncodedLen(n)
	for range size - n {
		dst = append(dst, 0)
	}
	out := dst[start : start+size]
	raw := out[size-n:]
	copy(raw, out[:n])
	for len(raw) >= 3 {
		v := uint(raw[0])<<16 | uint(raw[1])<<8 | uint(raw[2])
		raw = raw[3:]
		out[0], out[1] = base64urlAlphabet[v>>18&63], base64urlAlphabet[v>>12&63]
		out[2], out[3] = base64urlAlphabet[v>>6&63], base64urlAlphabet[v&63]
		out = out[4:]
	}
	switch len(raw) {
	case 1:
		v := raw[0]
		out[0], out[1] = base64urlAlphabet[v>>2], base64urlAlphabet[v<<4&63]
	case 2:
		v := uint(raw[0])<<8 | uint(raw[1])
		out[0], out[1], out[2] = base64urlAlphabet[v>>10&63], base64urlAlphabet[v>>4&63], base64urlAlphabet[v<<2&63]
	}
	return dst
}
