// Ratios runs what is to be compared in rounds, one benchmark after the other
// and then all of them again, and prints the median of each round's ratios as a
// Markdown table: what disturbs a machine for seconds disturbs both sides of a
// ratio. It is run from anywhere within the module:
//
//	go run ./bench/ratios [-rounds 5] [-time 300ms] [-only REGEXP]
//
// Rows beside OpenSSL take the rates of its command "openssl speed", from the
// path. VOUCHMILL_BENCH_N sets the size of device lists, as for the benchmarks.
package main
