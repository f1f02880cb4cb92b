package codec

import (
	"testing"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

func TestARememberedBagNeverAnswersForAnother(t *testing.T) {
	a, b := newTestSigner(t, "ES256").chain, newTestSigner(t, "ES256").chain
	leaf, err := der.ParseCertificate(a[0])
	if err != nil {
		t.Fatal(err)
	}
	keyID, err := leaf.KeyID()
	if err != nil {
		t.Fatal(err)
	}
	cut := func(at int, cert []byte) [][]byte { return [][]byte{cert[:at], cert[at:]} }
	bags := []struct {
		certificates [][]byte
		keyID        []byte
	}{
		{a, nil}, {a, []byte{}}, {a, keyID}, {a, []byte("other")}, {a[:1], nil}, {a[1:], nil},
		{[][]byte{a[1], a[0]}, nil}, {[][]byte{a[1], a[0]}, keyID}, {b, nil}, {append(a[:1:1], b...), nil},
		{cut(10, a[0]), nil}, {cut(11, a[0]), nil}, {[][]byte{a[0]}, a[1]}, {nil, nil}, {nil, a[0]},
	}
	var memo bagMemo
	for i, first := range bags {
		for k, then := range bags {
			for _, bag := range []struct {
				certificates [][]byte
				keyID        []byte
			}{first, then, then} {
				if got, want := memo.signer(bag.certificates, bag.keyID), signerOfBag(bag.certificates, bag.keyID); got != want {
					t.Fatalf("bag %d after bag %d: signer %d, want %d", k, i, got, want)
				}
			}
		}
	}
}
