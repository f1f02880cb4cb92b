// Package manifest makes and checks the signed statement of what one run
// produced, and the proofs that one voucher is among it.
//
// A manifest lets anybody who holds a bundle and trusts the voucher signer's
// certificate authority check that the bundle is whole, in order and
// unaltered, with nothing but SHA-256 and one signature check. Make one with
// [Sign], read one with [Parse], trust it after [Signed.Verify].
//
// # The document
//
// A manifest is a JWS in the general JSON serialisation (RFC 7515 §7.2.1) with
// one signature by the key that signed the vouchers. Its protected header has
// exactly alg, typ ("vouchmill-manifest+json") and x5c (the signer's
// certificate, then its chain). Its payload is one JSON object, members in this
// order, no white space:
//
//	vouchmill-manifest  1, the version of this document
//	run                 the name of the run
//	format              "cms", "jws" or "cose"
//	algorithm           the signature algorithm of the vouchers, "ES256"
//	count               how many vouchers the run has
//	created-on          created-on of the run, RFC 3339, UTC, whole seconds
//	tree-root           64 hex digits, see below
//	templates           one {"sha256": 64 hex digits} for each variant, in
//	                    variant order: the digest of the bytes that the
//	                    variant's vouchers have in common
//	root                64 hex digits, see below
//
// There is one byte form of a given content; [Parse] refuses any other, so
// unknown, repeated and misspelt members cannot hide in it. Nothing in a
// manifest says when, where or by how many workers it was made.
//
// # The tree
//
// tree-root is the Merkle tree hash of RFC 9162 §2.1.1 over the vouchers in run
// order. The leaf input of a voucher is the digest that was signed followed by
// the raw signature, so
//
//	leaf hash = SHA-256(0x00 ‖ signed digest ‖ raw signature)
//
// The signed digest is the algorithm's hash of the octets under the signature
// (CMS: the signed attributes as a SET OF; JWS: protected "." payload; COSE: the
// Sig_structure), or SHA-256 of them where the algorithm signs whole messages.
// Raw signatures of ECDSA are r‖s. root ties tree, size and templates together:
//
//	root = SHA-256("vouchmill manifest v1" 0x00 ‖ tree-root ‖ uint64be(count) ‖ SHA-256(template digests))
//
// # Proofs
//
// A [Proof] is what shows that one voucher belongs to a manifest (RFC 9162
// §2.1.3): its leaf index and hash, the size of the tree and the path to its
// root. See [Proof.Verify].
package manifest
