// Package engine is the batched, lock-free machinery between the codec and the
// programs: the bulk pipeline and the online ring.
package engine
