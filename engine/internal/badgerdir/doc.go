// Package badgerdir has what a directory that holds a Badger database needs
// beside Badger: a lock that names its holder, a file that tells the format and
// is read before Badger touches anything, an fsync that covers all of what was
// committed, and a guard for the value log that a killed process left.
//
// It is used by package store and package state, which put their own errors
// around those of this one.
//
// Nothing here holds state but [Lock] and [Syncer]; both are safe for
// concurrent use.
package badgerdir
