package wide

import "github.com/vouchmill/vouchmill/sign/internal/cpu512"

// Lanes is the natural unit of a batch: the cost of a call grows in steps of
// this many signatures.
const Lanes = 16

// choice is made once; the environment is read at start only.
var choice = cpu512.Decide(cpu512.Features(true))

// Available reports whether the wide code runs in this process: the processor
// and the operating system support it, and VOUCHMILL_WIDE=off is not set.
func Available() bool { return choice.Use }

// Describe says in one line which code runs and why, for version and benchmark
// output.
func Describe() string {
	if choice.Use {
		return "ES256 on 16 lanes (AVX-512 IFMA): " + choice.Reason
	}
	return "ES256 one at a time (crypto/ecdsa): " + choice.Reason
}
