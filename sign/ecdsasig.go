package sign

import (
	"bytes"
	"encoding/asn1"
	"math/big"
)

// rawFromDER writes an Ecdsa-Sig-Value (RFC 3279 §2.2.3) as r‖s, each half of
// dst long. encoding/asn1 lets more elements follow s in the sequence, so what
// was read must give the same octets when written again.
func rawFromDER(dst, der []byte) error {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return &KeyError{Reason: "the key gave no DER signature", Err: err}
	}
	half := len(dst) / 2
	if sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > 8*half || sig.S.BitLen() > 8*half {
		return &KeyError{Reason: "the key gave a signature that is not of its curve"}
	}
	sig.R.FillBytes(dst[:half])
	sig.S.FillBytes(dst[half:])
	if !bytes.Equal(appendDER(make([]byte, 0, len(dst)+9), dst), der) {
		return &KeyError{Reason: "the key gave a signature that is not DER"}
	}
	return nil
}

// appendDER appends r‖s, of even length up to 132 octets, as Ecdsa-Sig-Value.
func appendDER(dst, raw []byte) []byte {
	half := len(raw) / 2
	r, s := minimal(raw[:half]), minimal(raw[half:])
	body := integerSize(r) + integerSize(s)
	dst = append(dst, 0x30)
	if body > 127 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(body))
	return appendInteger(appendInteger(dst, r), s)
}

// minimal strips leading zero octets but the last.
func minimal(b []byte) []byte {
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}

// integerSize is the size of a DER INTEGER of a non-negative minimal b, up to
// 127 octets, with tag and length.
func integerSize(b []byte) int { return 2 + len(b) + int(b[0]>>7) }

func appendInteger(dst, b []byte) []byte {
	dst = append(dst, 0x02, byte(integerSize(b)-2))
	if b[0]>>7 == 1 {
		dst = append(dst, 0)
	}
	return append(dst, b...)
}
