// Package asm512 prints Go assembly for code on 512-bit vectors, and proves
// things about what was printed.
//
// [Writer] is used by the generators of sign/wide and sign/sha256x16. Their code
// consists of two independent streams of instructions, each with registers of
// its own, zipped instruction by instruction, because one stream alone waits
// for its own results most of the time.
//
// [Parse] reads the text back, so that what is proved is proved about the file
// the assembler reads and not about the intentions of the generator. [Machine]
// executes a function on intervals instead of numbers and refuses it if any
// value could leave the bounds its use requires, for whatever input.
// [CheckConstantTime] refuses a function in which an address or a branch could
// depend on data.
//
// The subset of the assembler's language is what the generators write; anything
// else is an error.
package asm512
