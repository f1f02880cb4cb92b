package sha256x16

import "github.com/vouchmill/vouchmill/sign/internal/cpu512"

// choice is made once; the environment is read at start only.
var choice = cpu512.Decide(cpu512.Features(false))

// Available reports whether the wide code runs in this process: the processor
// and the operating system support it, and VOUCHMILL_WIDE=off is not set.
func Available() bool { return choice.Use }

// Describe says in one line which code runs and why, for version and benchmark
// output.
func Describe() string {
	if choice.Use {
		return "SHA-256 on 16 and 32 lanes (AVX-512): " + choice.Reason
	}
	return "SHA-256 one at a time (crypto/sha256): " + choice.Reason
}
