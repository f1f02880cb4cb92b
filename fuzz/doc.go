// Package fuzz holds a native fuzz target for every parser and every state
// machine of the project that eats bytes from outside. It has no code of its own
// outside of tests.
//
// As plain tests the targets run over their seeds and over the regressions kept
// in testdata/fuzz:
//
//	go test ./fuzz
//
// One target at a time is fuzzed:
//
//	go test ./fuzz -run '^$' -fuzz '^FuzzCMS$' -fuzztime 60s
//
// # What a target holds
//
// Not crashing is the least of it. A target states what must be true of every
// input that is accepted, and of every refusal:
//
//   - limits hold, and memory stays a small multiple of the input;
//   - decoding, encoding and decoding again gives the same, and what was encoded
//     once is encoded the same way ever after;
//   - what is accepted here and by the libraries of the field (encoding/json,
//     encoding/csv, fxamacker/cbor, smallstep/pkcs7, go-jose, veraison/go-cose)
//     means the same to both, and they accept what is written here;
//   - errors have the types that the packages document;
//   - a set is a map, a Merkle range is the recursion of RFC 9162, and a store
//     that crashes, resumes and deletes is a list of pages.
//
// Seeds come from the test kit in testdata and, where they are at hand
// (VOUCHMILL_VECTORS), from published vectors, which are read in place.
//
// The kit itself is held here too: it is made again and compared octet by octet,
// and every case in its index must have the result the index states.
//
// oss-fuzz has what OSS-Fuzz needs to build and run all targets here.
//
// What a program reads by itself is fuzzed beside it: revocation lists in
// cmd/internal/revocation, DNS in cmd/pledge/discover and cmd/internal/announce.
package fuzz
