// Package sigpool signs and verifies for servers: requests that come one at a
// time, on many goroutines, share batches, so that a loaded server works at the
// speed of the batch signers of package sign and an idle one answers at once.
//
// [NewSigner] and [NewVerifier] implement the one-at-a-time interfaces of
// package artefact over an [engine.Online] pool. A worker takes whatever waits,
// up to a batch, and never waits for more.
//
// Both are safe for concurrent use. Close answers what waits and refuses the
// rest with engine.ErrClosed.
package sigpool
