// Package store keeps runs of vouchers on one disk, in Badger.
//
// A run is a header (opaque to the store), a table of variants, pages in input
// order and, once complete, a final record. Pages go into Badger's value log,
// so that their bytes are written once; the LSM tree holds one small pointer a
// page. Beside the pages stand index segments: for each stretch of up to 2^20
// vouchers one sorted array of (44 bits of the keyed hash of the serial number,
// 20 bits of position), in chunks, so that a look-up reads one or two chunks a
// segment. A segment also keeps the roots of the run's Merkle subtrees of
// 4,096 leaves and the state of the tree at its end.
//
//	s, err := store.Open(dir, store.Options{Create: true})
//	run, err := s.CreateRun(store.RunSpec{Name: "lot-7", Created: now, Header: header})
//	a, err := run.Appender()       // the same call continues a run after a crash
//	err = a.Append(store.Page{…})  // one goroutine
//	err = a.Finish(manifest)       // everything on disk, the run complete
//	for hit, err := range run.Lookup(serial) { … }
//
// # Durability
//
// Pages are committed in groups, each a transaction with the run's progress,
// and fsynced behind the appender's back. [Appender.Durable] counts what an
// fsync has returned for; after a crash that much is there, and what was
// committed later is there as far as it is unbroken. Committed and even merely
// appended pages can be read at once.
//
// # Copies
//
// A store that is closed is copied as any directory is. The file of the value log
// that is being written is 512 MiB long and a hole behind what was written so far,
// and so are the logs of memory tables. Closing the store cuts them, and so does
// opening it after the process was killed. To copy one in the state in which a
// killed process left it, use a tool that keeps holes: cp --sparse=always, tar -S,
// rsync --sparse. A store that a process holds cannot be copied.
//
// # Trust
//
// The store detects damage (CRC-32C over each page and over each record of the
// value log and the tree), it does not resist an attacker who can write to the
// directory: whoever reads a voucher verifies its signature. It holds no key.
//
// # Concurrency
//
// One process holds a store, enforced by a lock; within it everything but the
// methods of [Appender] that say otherwise is safe for concurrent use.
package store
