package sign

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

var allHashes = []HashID{SHA256, SHA384, SHA512, SHAKE256}

// FIPS 180-4 and FIPS 202 example values for "abc", as openssl dgst prints them.
func TestHashesAreTheOnesTheyAreCalled(t *testing.T) {
	for id, want := range map[HashID]string{
		SHA256:   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		SHA384:   "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
		SHA512:   "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		SHAKE256: "483366601360a8771c6863080cc4114d8db44530f8f1e1ee4f94ea37e78b5739d5a15bef186a5386c75744c0527e1faa9f8726e462a12a4feb06bd8801e751e4",
	} {
		if got := hex.EncodeToString(id.Append(nil, []byte("abc"))); got != want {
			t.Errorf("%v: %s", id, got)
		}
	}
}

func TestTailsAfterAKeptPrefix(t *testing.T) {
	for _, id := range allHashes {
		h, err := NewHasher(id)
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Repeat([]byte("constant beginning "), 20)
		var prefixes []*Prefix
		var tails [][]byte
		var want []byte
		for _, cut := range []int{0, 1, 55, 56, 63, 64, 65, 127, 128, 136, 137, 300} {
			p, err := NewPrefix(id, text[:cut])
			if err != nil || p.Len() != cut || p.Hash() != id {
				t.Fatal(err)
			}
			for _, n := range []int{0, 1, 34, 64, 80} {
				prefixes, tails = append(prefixes, p), append(tails, text[cut:cut+n])
				want = id.Append(want, text[:cut+n])
			}
		}
		got := make([]byte, len(want))
		if err := h.SumTails(got, prefixes, tails); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: tails differ from whole messages: %v", id, err)
		}
		clear(got)
		want = want[:0]
		for _, m := range tails {
			want = id.Append(want, m)
		}
		if err := h.Sum(got, tails); err != nil || !bytes.Equal(got[:len(want)], want) {
			t.Errorf("%v: Sum differs: %v", id, err)
		}
		if n := testing.AllocsPerRun(20, func() { h.SumTails(got, prefixes, tails) }); n != 0 && !raceEnabled {
			t.Errorf("%v: %v allocations", id, n)
		}
	}
}

func TestHasherMisuseIsAnError(t *testing.T) {
	h, _ := NewHasher(SHA256)
	p, _ := NewPrefix(SHA256, nil)
	other, _ := NewPrefix(SHA512, nil)
	var usage *UsageError
	dst, tails := make([]byte, 63), [][]byte{{1}, {2}}
	for name, err := range map[string]error{
		"short dst":     h.SumTails(dst, []*Prefix{p, p}, tails),
		"short dst Sum": h.Sum(dst, tails),
		"lengths":       h.SumTails(make([]byte, 64), []*Prefix{p}, tails),
		"other hash":    h.SumTails(make([]byte, 64), []*Prefix{p, other}, tails),
		"nil prefix":    h.SumTails(make([]byte, 64), []*Prefix{p, nil}, tails),
	} {
		if !errors.As(err, &usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !bytes.Equal(dst, make([]byte, 63)) {
		t.Error("something was written")
	}
	if _, err := NewHasher(0); !errors.As(err, &usage) {
		t.Errorf("unknown hash: %v", err)
	}
	if _, err := NewPrefix(9, nil); !errors.As(err, &usage) {
		t.Errorf("unknown hash: %v", err)
	}
}
