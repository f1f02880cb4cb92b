// Package merkle is the RFC 9162 Merkle tree over a run of vouchers.
//
// The tree is never kept whole. Workers fold the leaves of their page into a
// [Range], the fewest complete subtrees that cover a stretch of leaves, and
// the sink merges the ranges in order into the range of the run, which at any
// size is at most 64 hashes and from which [Range.Root] is one fold away.
//
//	page.Append(merkle.LeafHash(digest, signature)) // worker, once a voucher
//	run.Merge(&page, nil)                           // sink, once a page
//
// [InclusionProof] builds a proof out of complete subtrees that the caller
// looks up or recomputes; [VerifyInclusion] needs nothing but the proof.
//
// Nothing here does I/O, starts a goroutine or keeps a global. A Range belongs
// to one goroutine at a time; the functions are safe for concurrent use.
package merkle
