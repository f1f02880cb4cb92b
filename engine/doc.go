// Package engine is the batched, lock-free machinery between the codec and the
// programs.
//
// Bulk work, a list of devices that becomes a list of vouchers, goes through
// Run: one goroutine fills batches, several work on them, one takes them in
// input order. Online work, requests that come one at a time and wait for
// their answers, goes through an Online pool, or through a Ring where more
// freedom is needed.
//
// # Packages
//
// Each job, and each role of RFC 8995, is a package below this one.
//
//	bulk jobs    issue, verify, export; profile says what a run is to be
//	their parts  list, seen, run, page, store, merkle, manifest, bundle, progress
//	roles        masa, registrar, pledge
//	their parts  artefact, exchange, decision, device, sigpool, audit, ca, state
//	settings     yamlfile
//
// A role decides and keeps, and nothing else: network, clock and randomness are
// passed in, and it knows no other role. A pledge has no database and does not
// reach this package; a test of the import graph holds that.
//
// # Ownership
//
// A batch has one owner at a time. In Run it never moves: it has a slot, the
// slot has one atomic word, and the word says whose it is.
//
//	free    the filler's; it stores filled and is done with it
//	filled  the worker's that claims its sequence number; stores signed
//	signed  the sink's; stores free, for the sequence number one round on
//
// A store of the next state is the owner's last act, a load of it the next
// one's first, so everything written before is seen after. As slots are taken
// in the order of sequence numbers and the sink waits for the next one, order
// costs nothing, and a slow batch delays the others only when the array is
// full. In a Ring the same is said by each cell's own turn.
//
// Who finds nothing to do parks. There is one primitive for that, with one
// argument why no wake-up is lost; see lot in park.go. Nothing spins: where
// there are two processors, a goroutine that spins keeps the one it waits for
// from running.
//
// # Budget
//
// Design: a million vouchers a second on two cores, so 2,000 ns of CPU for
// each. They are spent so, with a signer of about a microsecond:
//
//	step             ns   where
//	sign            850   batch of signatures, wide
//	check            90   of each signature made, batched
//	list            150   reading, checking and looking for duplicates
//	encode          120   tails and, where wanted, envelopes
//	hash             20   the last block or two after a kept prefix; 160 until hashing is wide
//	leaf             20   of the run's Merkle tree; 70 until hashing is wide
//	page and store  150   page bytes by the workers, commit by the sink
//	rest            100   this package, the runtime, the collector
//	sum           1,500   leaves a quarter for what was not foreseen
//
// An online request has no such table: its public-key operations, of which each
// arrives alone, are most of it. Package sigpool runs them in the batches
// that a loaded server gathers, and package bench compares a request with them.
//
// # What it costs
//
// The benchmarks compare with channels on the same work; run them with
//
//	go test -bench 'Ring|Pipeline|Online' ./engine
//
// On a machine of two cores, medians of several runs:
//
// BenchmarkPipeline: 300 to 360 ns for an empty batch, so about 1.3 ns a
// voucher in batches of 256. A pipeline of channels with the same bound on
// memory and the same order takes 150 to 185 ns. The difference is the clock:
// Run reads it twice for each batch and stage, to say where the time goes, and
// recovers from panics; without the readings it takes 120 to 130 ns. With 10
// µs or more of work in a batch the two cannot be told apart. So the slots are
// not there for speed: they are there because ownership, order, errors by
// sequence number, barriers and a stop without loss are simple on them.
//
// BenchmarkRing: with consumers that take up to 64 values at a time, the ring
// takes 0.4 to 0.8 of the time of a channel of the same capacity, from one
// producer and one consumer to sixteen and two.
//
// BenchmarkOnline: 0.4 to 0.9 µs for a request and its answer, with the two
// changes of goroutine that are in it, and no allocation.
package engine
