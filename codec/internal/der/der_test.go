package der_test

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

func TestLengthsReadBackAsWritten(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20} {
		b := der.Append(nil, der.TagOctetString, make([]byte, n))
		e, rest, err := der.Next(b)
		if err != nil || len(e.Body) != n || len(rest) != 0 || len(b) != der.Size(n) {
			t.Errorf("%d octets: read %d, %v", n, len(e.Body), err)
		}
		var raw asn1.RawValue
		if _, err := asn1.Unmarshal(b, &raw); err != nil || len(raw.Bytes) != n {
			t.Errorf("%d octets: encoding/asn1 reads %d, %v", n, len(raw.Bytes), err)
		}
	}
}

func TestWhatIsNotDERIsToldFromWhatIsBroken(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"empty":             {nil, der.ErrTruncated},
		"no length":         {[]byte{4}, der.ErrTruncated},
		"short value":       {[]byte{4, 2, 1}, der.ErrTruncated},
		"length cut":        {[]byte{4, 0x82, 1}, der.ErrTruncated},
		"length of 2^56":    {[]byte{4, 0x88, 1, 0, 0, 0, 0, 0, 0, 0}, der.ErrTruncated},
		"indefinite":        {[]byte{0x30, 0x80, 0, 0}, der.ErrNotDER},
		"long form for 1":   {[]byte{4, 0x81, 1, 0}, der.ErrNotDER},
		"leading zero":      {append([]byte{4, 0x82, 0, 0x80}, make([]byte, 128)...), der.ErrNotDER},
		"string in pieces":  {[]byte{0x24, 3, 4, 1, 1}, der.ErrNotDER},
		"tag in two octets": {[]byte{0x1f, 0x81, 0}, der.ErrHighTag},
	} {
		if _, _, err := der.Next(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestECDSAAgreesWithEncodingASN1(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		raw := make([]byte, 64)
		for i := range raw {
			raw[i] = byte(r.Uint32())
		}
		clear(raw[:r.IntN(3)])
		clear(raw[32 : 32+r.IntN(3)])
		pair := struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])}
		want, err := asn1.Marshal(pair)
		if err != nil {
			t.Fatal(err)
		}
		got := der.AppendECDSA(nil, raw)
		if !bytes.Equal(got, want) || len(got) != der.ECDSASize(raw) {
			t.Fatalf("%x: %x, want %x", raw, got, want)
		}
		a, b, err := der.ParseECDSA(got)
		if err != nil {
			t.Fatal(err)
		}
		if back, ok := der.AppendRaw(nil, a, b, 32); !ok || !bytes.Equal(back, raw) {
			t.Fatalf("%x reads back as %x", raw, back)
		}
		if _, ok := der.AppendRaw(nil, a, b, 16); ok {
			t.Fatal("r fits a field half its size")
		}
	}
}

func TestIntegersAndSets(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want int
		ok   bool
	}{
		{[]byte{0}, 0, true}, {[]byte{0x7f}, 127, true}, {[]byte{0, 0x80}, 128, true}, {[]byte{0xff}, -1, true}, {[]byte{1, 0, 0}, 65536, true},
		{nil, 0, false}, {[]byte{0, 1}, 0, false}, {[]byte{0xff, 0xff}, 0, false}, {[]byte{1, 0, 0, 0}, 0, false},
	} {
		if got, err := der.SmallInteger(c.in); got != c.want || (err == nil) != c.ok {
			t.Errorf("%x: %d, %v", c.in, got, err)
		}
	}
	if !der.SortedSet([]byte{4, 1, 1, 4, 1, 2, 4, 2, 0, 0}) || der.SortedSet([]byte{4, 2, 0, 0, 4, 1, 1}) || der.SortedSet([]byte{4, 9}) {
		t.Error("the order of a SET OF is misjudged")
	}
}

func TestNormalizeRefusesBrokenBER(t *testing.T) {
	for name, c := range map[string]struct {
		in    []byte
		depth int
		want  error
	}{
		"no end":              {[]byte{0x30, 0x80, 4, 1, 1}, 4, der.ErrTruncated},
		"too deep":            {[]byte{0x30, 0x80, 0x30, 0x80, 0, 0, 0, 0}, 1, der.ErrDepth},
		"trailing":            {[]byte{0x30, 0x80, 0, 0, 0}, 4, der.ErrTrailing},
		"primitive, no end":   {[]byte{4, 0x80, 0, 0}, 4, der.ErrValue},
		"piece of another":    {[]byte{0x24, 0x80, 2, 1, 1, 0, 0}, 4, der.ErrTag},
		"bit string in parts": {[]byte{0x23, 0x80, 3, 1, 0, 0, 0}, 4, der.ErrValue},
		"high tag":            {[]byte{0x3f, 0x80}, 4, der.ErrHighTag},
	} {
		if _, err := der.Normalize(nil, c.in, c.depth); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func ExampleNormalize() {
	// SEQUENCE of indefinite length, around an OCTET STRING in two pieces.
	ber := []byte{0x30, 0x80, 0x24, 0x80, 4, 1, 'a', 4, 1, 'b', 0, 0, 0, 0}
	out, err := der.Normalize(nil, ber, 4)
	fmt.Printf("%x %v\n", out, err)
	// Output:
	// 300404026162 <nil>
}
