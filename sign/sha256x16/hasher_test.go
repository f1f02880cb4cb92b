package sha256x16

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"testing"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// checkDigests compares with crypto/sha256.
func checkDigests(t *testing.T, dst []byte, prefixes []*Prefix, prefixBytes, tails [][]byte) {
	t.Helper()
	h := NewHasher()
	if err := h.SumTails(dst, prefixes, tails); err != nil {
		t.Fatal(err)
	}
	for i, tail := range tails {
		want := sha256.Sum256(append(bytes.Clone(prefixBytes[i%len(prefixBytes)]), tail...))
		if got := dst[Size*i : Size*i+Size]; !bytes.Equal(got, want[:]) {
			t.Fatalf("prefix of %d, tail of %d octets, message %d of %d: %x, want %x",
				len(prefixBytes[i%len(prefixBytes)]), len(tail), i, len(tails), got, want)
		}
	}
}

func TestTailsOfEveryLengthAfterPrefixesOfEveryLength(t *testing.T) {
	for prefix := range 130 {
		b := random(prefix)
		p := NewPrefix(b)
		if p.Len() != prefix {
			t.Fatalf("Len is %d, want %d", p.Len(), prefix)
		}
		for tail := range 200 {
			var tails [][]byte
			for range 3 + tail%31 {
				tails = append(tails, random(tail))
			}
			checkDigests(t, make([]byte, Size*len(tails)), []*Prefix{p}, [][]byte{b}, tails)
		}
	}
}

func TestBatchesOfEverySize(t *testing.T) {
	for n := range 100 {
		var prefixes []*Prefix
		var prefixBytes, tails [][]byte
		for range n {
			prefixBytes = append(prefixBytes, random(mrand.IntN(300)))
			prefixes = append(prefixes, NewPrefix(prefixBytes[len(prefixBytes)-1]))
			tails = append(tails, random(mrand.IntN(150)))
		}
		if n == 0 {
			prefixBytes = [][]byte{nil}
		}
		checkDigests(t, make([]byte, Size*n), prefixes, prefixBytes, tails)
	}
}

func TestMessagesOfMixedLengths(t *testing.T) {
	for range 20 {
		var messages [][]byte
		for range 300 {
			messages = append(messages, random(mrand.IntN(maxTestLength)))
		}
		checkDigests(t, make([]byte, Size*len(messages)), []*Prefix{NewPrefix(nil)}, [][]byte{nil}, messages)
	}
}

// maxTestLength goes beyond what the wide code takes.
const maxTestLength = 70 * blockSize

// FIPS 180-4 example messages, each in every lane.
func TestPublishedExamples(t *testing.T) {
	examples := map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq":                                                         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
		"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu": "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
	}
	for message, want := range examples {
		for lane := range 32 {
			messages := make([][]byte, 32)
			for i := range messages {
				messages[i] = random(len(message))
			}
			messages[lane] = []byte(message)
			dst := make([]byte, Size*32)
			if err := NewHasher().Sum(dst, messages); err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(dst[Size*lane : Size*lane+Size]); got != want {
				t.Fatalf("%q in lane %d: %s, want %s", message, lane, got, want)
			}
		}
	}
}

func TestScalarHasherAgrees(t *testing.T) {
	messages := make([][]byte, 64)
	for i := range messages {
		messages[i] = random(i)
	}
	a, b := make([]byte, Size*64), make([]byte, Size*64)
	if err := errors.Join(NewHasher().Sum(a, messages), NewScalarHasher().Sum(b, messages)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Fatal("the scalar hasher disagrees")
	}
}

func TestWrongShapesAreRefused(t *testing.T) {
	h := NewHasher()
	var shape *ShapeError
	if err := h.Sum(make([]byte, Size), make([][]byte, 2)); !errors.As(err, &shape) {
		t.Errorf("short dst: %v", err)
	}
	p := NewPrefix(nil)
	if err := h.SumTails(make([]byte, 3*Size), []*Prefix{p, p}, make([][]byte, 3)); !errors.As(err, &shape) {
		t.Errorf("two prefixes for three tails: %v", err)
	}
	if err := h.SumTails(make([]byte, 2*Size), []*Prefix{p, nil}, make([][]byte, 2)); !errors.As(err, &shape) {
		t.Errorf("a nil prefix: %v", err)
	}
	if err := NewNonces(&[32]byte{31: 1}).Derive(make([][4]uint64, 2), make([][32]byte, 3)); !errors.As(err, &shape) {
		t.Errorf("two nonces for three digests: %v", err)
	}
}

func TestHashingDoesNotAllocate(t *testing.T) {
	h := NewHasher()
	p := NewPrefix(random(900))
	tails := make([][]byte, 256)
	for i := range tails {
		tails[i] = random(20 + i%20)
	}
	dst := make([]byte, Size*len(tails))
	prefixes := []*Prefix{p}
	if n := testing.AllocsPerRun(10, func() { h.SumTails(dst, prefixes, tails) }); n != 0 {
		t.Fatalf("%v allocations a batch", n)
	}
}

func BenchmarkSum(b *testing.B) {
	for _, c := range []struct {
		name           string
		prefix, length int
	}{{"tail34", 896, 34}, {"rest40tail34", 936, 34}, {"leaf97", 0, 97}, {"whole930", 0, 930}} {
		for impl, h := range map[string]*Hasher{"wide": NewHasher(), "std": NewScalarHasher()} {
			for _, n := range []int{1, 4, 16, 64, 256} {
				b.Run(fmt.Sprintf("%s/impl=%s/batch=%d", c.name, impl, n), func(b *testing.B) {
					prefixes := []*Prefix{NewPrefix(random(c.prefix))}
					tails := make([][]byte, n)
					for i := range tails {
						tails[i] = random(c.length)
					}
					dst := make([]byte, Size*n)
					for b.Loop() {
						h.SumTails(dst, prefixes, tails)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/digest")
				})
			}
		}
	}
}
