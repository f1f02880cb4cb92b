// Package cpu512 decides, once and for the whole process, whether code for
// 512-bit vectors may run, and says why.
//
// The environment variable VOUCHMILL_WIDE overrides the decision for tests and
// benchmarks: "off" forces the portable code, "on" asks for the vector code
// (which is still refused on a processor that lacks it, for it would fault).
package cpu512
