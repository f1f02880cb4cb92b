// Package sha256x16 is SHA-256 on 16 messages at a time, one in each 32-bit
// lane of the 512-bit vector registers, or on two such groups in turn.
//
// [Hasher] hashes messages that share a [Prefix] or have none. [Nonces] derives
// the nonces of RFC 6979 for a batch of digests.
package sha256x16
