// Package sha256x16 is SHA-256 on 16 messages at a time, one in each 32-bit
// lane of the 512-bit vector registers, and on two such groups in turn.
//
// A [Hasher] hashes messages that share a [Prefix] or have none, and takes the
// wide code wherever enough messages with the same number of blocks come
// together; digests are the same either way. [Nonces] derives the nonces of RFC
// 6979 for a batch of digests.
//
// The wide code needs AVX-512 (F, VL, DQ, BW) and BMI2. [Available] tells
// whether it runs here; without it everything is done by crypto/sha256. The
// assembly is written by the program in gen.
package sha256x16

//go:generate go run ./gen
