// Package issue signs a nonceless voucher for every device of a list and keeps
// the signatures in a store.
//
// The list is read by one goroutine, which checks each row, finds its variant
// and its duplicates and fills batches; workers hash and sign a batch and build
// its page; a last goroutine commits the pages in order. A batch is a page, cut
// by the data alone, so a run that was cut short continues on a page boundary
// and ends with the bytes of one that was not.
//
// What is durable is never signed again. On resume the list is read from its
// start, each accepted row is compared with what the store has, and signing goes
// on behind the last durable page.
package issue
