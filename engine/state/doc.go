// Package state keeps what a role (MASA, registrar) must not forget: devices,
// owners, approvals, answers given, the audit log.
//
//	db, err := state.Open(dir, state.Options{Create: true}) // or state.NewMemory() in a test
//	defer db.Close()
//	err = db.Update(ctx, func(tx state.Tx) error {
//		owner, err := tx.Get(key)
//		if errors.Is(err, state.ErrNotFound) {
//			return tx.Set(key, newOwner)
//		}
//		…
//	})                                                      // nil: on disk
//	err = db.View(ctx, func(r state.Reader) error { … })
//
// Keys are octets in ascending order. Who writes what under which prefix is
// agreed upon by the packages that share a DB, each of which documents its keys.
//
// # Updates
//
// All Updates happen one after the other: a function passed to Update reads
// what all before it wrote, and decides alone. So "is this device free, and if
// so take it" is a Get and a Set, and of a thousand who try at once one wins.
//
// What makes that cheap is that they share the disk: all Updates that wait while
// an fsync is under way run one after the other in memory, each over the writes
// of those before it, are written as one transaction, and are answered after
// one fsync.
//
// # Durability
//
// When Update returns nil an fsync has returned for what it wrote, and for the
// directory. What is read, by View or in an Update, was durable when it was read,
// but for the writes of an Update's own group, whose fate it shares. A process
// that is killed loses nothing that was acknowledged; an Update that was under way
// is there whole or not at all. When a commit or an fsync fails, Updates are
// refused until the program is started again ([FailedError]), since the kernel
// may have dropped what it could not write.
//
// # Concurrency
//
// One process holds a directory, enforced by a lock. Within it a DB is safe for
// concurrent use; Views never wait for Updates. A Reader or Tx is for the
// goroutine that was given it.
//
// # Trust
//
// Checksums detect damage: of every table, which is read from end to end when the
// DB is opened, and of every value with its key when it is read. They do not
// resist an attacker who can write to the directory: whoever can do that owns the
// role.
// Readable by the owner of the process alone (0700); nothing in it is encrypted,
// so no private key belongs there.
//
// # Memory and space
//
// An open DB takes some 15 MiB, below 100 MiB at thousands of Updates a second,
// and some 300 MiB while tens of MiB are written every second; none of that grows
// with how much is kept. The index of the tables adds about 1 octet for every 100
// that are kept, and tables are read through the page cache.
//
// Values of [MaxInline] octets and more are kept apart, and the space of those
// that were replaced is given back when the DB is opened. Below a floor of free
// space nothing is written ([ErrFull]).
package state
