// Package seen finds the devices that occur twice among tens of millions, in
// less than 12 octets of memory a device.
//
// A device is known by its 64-bit Hash under a secret key, and a Set holds the
// hashes alone. So a hit means "very likely seen before": two of n devices share
// a hash by chance with probability n²/2⁶⁵ (about 1 in 370,000 for ten million), and the
// caller confirms every hit against what it stored. No hit is certain: a device
// that was inserted is always found. The key keeps whoever writes the list from
// choosing serial numbers that collide.
//
// A page of devices is hashed first and inserted after:
//
//	hashes = key.AppendHashes(hashes[:0], devices)
//	hits = set.InsertBatch(hashes, hits[:0])
//
// # How it is laid out
//
// A Set is 256 tables, chosen by the top octet of the hash, so that growing
// moves a 256th of the set at a time. A table keeps its hashes in ascending
// order with gaps: hash h belongs at slot ⌊h·size/2⁶⁴⌋ (of its lower 56 bits) and sits there or
// in the run right behind it. Order makes a search stop at the first larger hash, and makes growing
// two sequential passes within the table's own memory: pack to the end, then lay out anew.
// Slots are allocated 4 KiB at a time and never move, so growing leaves no
// garbage behind and the memory claimed is the memory used: between 9.3 and 11.7 octets a
// device.
package seen
