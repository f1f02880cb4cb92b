// Package sign makes and checks signatures in batches. It knows algorithms,
// keys and hashes; it does not know what a voucher is.
package sign
