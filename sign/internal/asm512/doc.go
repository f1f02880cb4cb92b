// Package asm512 prints Go assembly for code on 512-bit vectors, and runs what
// was printed in a simulator.
//
// [Writer] is used by the generators of sign/wide and sign/sha256x16. Their code
// consists of two independent streams of instructions, each with registers of
// its own, zipped instruction by instruction, because one stream alone waits
// for its own results most of the time.
//
// [Machine] reads the printed text back and executes it with one of three kinds
// of values in the vector registers: numbers, which makes the assembly testable
// on every processor; intervals, which proves that no limb can leave its bounds
// for any input; and taints, which proves that no address and no branch depends
// on a secret. The proofs are about the file the assembler reads, not about the
// intentions of the generator.
package asm512
