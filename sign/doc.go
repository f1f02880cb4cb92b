// Package sign makes and checks signatures in batches. It knows algorithms,
// keys and hashes; it does not know what is being signed.
//
// Start with [LoadKeyFile] and [NewSigner], then hand whole batches to
// [Signer.SignBatch]; one signature is a batch of one. To check signatures,
// prepare each public key once with [PreparePublicKey] and hand batches to the
// [Verifier] that [NewVerifier] returns. What comes before the signature, the
// hash of a message whose beginning seldom changes, is [Prefix] and [Hasher].
//
// # Algorithms
//
// One table holds everything the world calls an algorithm by: its JOSE and COSE
// names and their aliases, its DER AlgorithmIdentifiers, its digest. The
// lookups ([ByJOSE], [ByCOSE], [ByOID]) take the public key along with the name
// and refuse a name that does not fit the key, so a message cannot talk a
// verifier into another algorithm than its key is for.
//
// # Implementations
//
// An algorithm may have several implementations, fastest first:
//
//	wide           ES256, signing and verifying: 16 at a time in AVX-512 registers (package wide)
//	portable       ES256: k·G by filippo.io/nistec, own scalar arithmetic, one inversion a batch
//	std            everything: the standard library, circl for Ed448, ML-DSA and SLH-DSA
//	ed25519-batch  verifies Ed25519 many at a time; by name only, see [Ed25519Batch]
//
// The choice is made once per process by what the processor can do. The
// environment variable VOUCHMILL_SIGN_IMPL names one to be used wherever it
// knows the algorithm (tests and benchmarks run each of them this way);
// [Options.Impl] forces one for a single signer.
//
// All of them give the same bytes. ECDSA is deterministic (RFC 6979) unless
// [Options.Hedged] is set, and so are ML-DSA and SLH-DSA, so that a run can be
// repeated to the last bit. [Checked] makes any signer verify its own work.
//
// # Certificates
//
// crypto/x509 knows neither Ed448 nor the post-quantum keys. [CertificateKey],
// [MatchCertificate], [LoadChain], [NewDemoPKI] and [VerifyChain] do, and leave
// everything else to it.
//
// # Secrets
//
// Code that touches a private key or a nonce takes the same branches and the
// same memory addresses whatever their values. [Signer.Close] and [DestroyKey]
// overwrite what Go lets them reach: the garbage collector may have copied
// stacks, and the standard library keeps its own caches. Private keys never
// reach an error text.
package sign
