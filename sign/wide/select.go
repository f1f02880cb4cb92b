package wide

import (
	"sync"

	"github.com/vouchmill/vouchmill/sign/internal/cpu512"
)

// Lanes is the natural unit of a batch: the cost of a call grows in steps of
// this many signatures.
const Lanes = 16

// MinBatch is the least batch for which signing wide pays wherever it runs. One
// signature takes as long as sixteen: about as long as crypto/ecdsa takes for
// one, and a fifth longer than portable code that inverts only once.
const MinBatch = 2

// choice is made once, when it is first needed: the environment says nothing
// against it, the processor can, and known answers come out right.
var choice = sync.OnceValue(func() cpu512.Choice {
	c := cpu512.Decide(cpu512.Features(true))
	if c.Use {
		if err := knownAnswers(); err != nil {
			return cpu512.Choice{Reason: "the wide code failed its known answers on this processor: " + err.Error()}
		}
	}
	return c
})

// Available reports whether the wide code runs in this process: the processor
// and the operating system support it, VOUCHMILL_WIDE=off is not set, and it
// gives the known answers. The first call takes about a millisecond.
func Available() bool { return choice().Use }

// Describe says in one line which code runs and why, for version and benchmark
// output.
func Describe() string {
	if c := choice(); c.Use {
		return "ES256 on 16 lanes (AVX-512 IFMA): " + c.Reason
	}
	return "ES256 one at a time (crypto/ecdsa): " + choice().Reason
}
