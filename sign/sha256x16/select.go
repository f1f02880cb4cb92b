package sha256x16

import (
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/vouchmill/vouchmill/sign/internal/cpu512"
)

// choice is made once, when it is first needed: the environment says nothing
// against it, the processor can, and known answers come out right.
var choice = sync.OnceValue(func() cpu512.Choice {
	c := cpu512.Decide(cpu512.Features(false))
	if c.Use {
		if err := knownAnswers(); err != nil {
			return cpu512.Choice{Reason: "the wide code failed its known answers on this processor: " + err.Error()}
		}
	}
	return c
})

// Available reports whether the wide code runs in this process: the processor
// and the operating system support it, VOUCHMILL_WIDE=off is not set, and it
// gives the known answers.
func Available() bool { return choice().Use }

// Describe says in one line which code runs and why, for version and benchmark
// output.
func Describe() string {
	if c := choice(); c.Use {
		return "SHA-256 on 16 and 32 lanes (AVX-512): " + c.Reason
	}
	return "SHA-256 one at a time (crypto/sha256): " + choice().Reason
}

// knownAnswers hashes messages of one, two and three blocks and derives nonces
// on 16 and on 32 lanes, and compares with the code for one.
func knownAnswers() error {
	h, p := newHasher(true), newPrefix([]byte("prefix"), true)
	d := [32]byte{31: 7}
	nonces := newNonces(&d, true)
	defer nonces.Close()
	for _, lanes := range []int{16, 32} {
		for _, length := range []int{10, 80, 150} {
			tails, dst := make([][]byte, lanes), make([]byte, Size*lanes)
			for i := range tails {
				tails[i] = make([]byte, length)
				tails[i][0] = byte(i)
			}
			if err := h.SumTails(dst, []*Prefix{p}, tails); err != nil {
				return err
			}
			for i, tail := range tails {
				if sha256.Sum256(append([]byte("prefix"), tail...)) != [Size]byte(dst[Size*i:]) {
					return errors.New("a digest differs from crypto/sha256")
				}
			}
		}
		digests, k := make([][32]byte, lanes), make([][4]uint64, lanes)
		for i := range digests {
			digests[i][5] = byte(i)
		}
		if err := nonces.Derive(k, digests); err != nil {
			return err
		}
		for i := range k {
			if k[i] != derive(&d, &digests[i], &order) {
				return errors.New("a nonce differs from RFC 6979")
			}
		}
	}
	return nil
}
