// Package wide makes and checks ECDSA signatures on P-256 with SHA-256, many at
// a time: two groups of eight signatures run through one instruction stream, a
// lane of the 512-bit vector registers each.
//
// A [Signer] signs batches of digests with one private key, by default with the
// nonces of RFC 6979, so that its signatures are, byte for byte, those of
// crypto/ecdsa without a source of randomness. [Verify] checks signatures under
// many public keys, [Key.VerifyMany] those under one, which is several times
// faster because it keeps a table of the key's multiples.
//
// Digests have 32 octets; signatures are r‖s of 64 octets (RFC 7518 §3.4, RFC
// 9053 §2.1).
//
// The wide code needs AVX-512 with IFMA. [Available] tells whether it runs here
// and [Describe] why or why not; without it the same functions work, one
// signature at a time, by crypto/ecdsa. The assembly is written by the program
// in gen, where the formulas are explained; tests run it on a simulator, prove
// the bounds of every limb there and that no address and no branch depends on
// a secret.
//
// A call costs nearly the same for one signature as for sixteen: about what
// crypto/ecdsa takes for one, see [MinBatch]; at 256 a signature costs about a
// thirtieth of it. Verification under distinct keys is about ten times, under
// one key about forty times as fast as crypto/ecdsa. These are measurements on
// an AMD Zen 5; a processor that splits 512-bit operations gains half as much.
// No assembly function runs longer than 100 µs there, for it cannot be
// preempted.
//
// Large batches are proved before they leave, see [Proof], for about 75 ns a
// signature. The weights of that proof are fixed. Random ones of 64 bits, which
// would find even faults that someone chooses, were worked out and not built:
// for each signature they take 16 additions of a multiple of R, a table of its
// eight odd multiples, and a lane's share of 64 doublings. At what these steps
// take in the verifier of distinct keys (16.5 ns, 200 ns and 11.5 ns a signature)
// that is 0.5 µs, three quarters of the signature; windows of three bits instead
// of four come to the same. The aim was 0.4 µs. Who needs that much has each
// signature verified, which is independent of the signer's state besides.
//
// Everything that touches a private key or a nonce takes constant time, except
// that the rejection of a nonce candidate (RFC 6979 §3.2 step h, probability
// 2^-32) can be seen. Verification takes variable time. Secrets in working
// memory and vector registers are overwritten after each batch.
package wide

//go:generate go run ./gen
