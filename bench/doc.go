// Package bench holds the benchmarks a user of the module would run: whole jobs
// from a device list to a durable store, and each step of them by itself; and the
// online roles, from a voucher-request at a MASA to a whole join. What only
// concerns one package is measured there: the ring and the pipeline in engine,
// lists in engine/list, duplicates in engine/seen, pages in engine/page, the tree
// in engine/merkle, storing and finding in engine/store.
//
//	go test -run '^$' -bench . ./bench
//	go run ./bench/ratios
//
// The first prints everything, the second measures in rounds what is compared
// and prints medians of ratios; README.md says how to read either. Names are made
// of key=value parts, as benchstat wants them. VOUCHMILL_BENCH_N sets how many
// devices a list has, 100,000 where it is not set.
//
// The package itself has what these benchmarks and those of the nested module
// bench/peers share: a [Fixture] with keys and certificates, a [Batch] that makes
// finished vouchers in memory, and [NewConstantSigner], which takes the signature
// out of what is measured.
package bench
