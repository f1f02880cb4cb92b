package codec

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// Whatever we accept, the oracles accept; and what we accept with known leaves
// only is written again and read again.
func TestMutatedPayloadsAreNeverAcceptedBeyondTheOracles(t *testing.T) {
	r := fullRequest()
	js, err1 := AppendRequestJSON(nil, &r)
	cb, err2 := AppendRequestCBOR(nil, &r)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	d, again := PayloadDecoder{Unknown: KeepUnknown}, PayloadDecoder{Unknown: KeepUnknown}
	structure := []byte("{}[]\",:\\0123456789tfn \xa0\x80\x9f\xbf\xff\x18\xd8\x2f\x7f")
	accepted := 0
	for range 20000 {
		for _, seed := range [][]byte{js, cb} {
			b := append([]byte(nil), seed...)
			for range 1 + rng.IntN(3) {
				b[rng.IntN(len(b))] = structure[rng.IntN(len(structure))]
			}
			var out, out2 VoucherRequest
			var text []byte
			var err error
			if seed[0] == '{' {
				if d.RequestJSON(b, &out) != nil {
					continue
				}
				if !json.Valid(b) {
					t.Fatalf("accepted, not JSON: %s", b)
				}
				if text, err = AppendRequestJSON(nil, &out); err == nil {
					err = again.RequestJSON(text, &out2)
				}
			} else {
				if d.RequestCBOR(b, &out) != nil {
					continue
				}
				if err := cbor.Wellformed(b); err != nil {
					t.Fatalf("accepted, not CBOR (%v): %x", err, b)
				}
				if text, err = AppendRequestCBOR(nil, &out); err == nil {
					err = again.RequestCBOR(text, &out2)
				}
			}
			if err != nil {
				t.Fatalf("accepted %q and could not write it again: %v", b, err)
			}
			accepted++
		}
	}
	if accepted == 0 {
		t.Error("no mutation was accepted: the test shows nothing")
	}
}
