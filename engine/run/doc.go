// Package run knows what a run is: the header that decides its bytes, the
// variants its devices fall into, the compiled templates those give, and the
// Maker, which turns a batch of serial numbers into signatures and vouchers.
//
// Issuing, reading back, exporting and verifying a run all go through the same
// Maker, so a voucher that is rebuilt from the store has the very bytes that
// were signed:
//
//	header + variant ─► Compiler ─► Template      (once per variant)
//	serials + templates ─► Maker.Prepare ─► what is signed
//	                       signer or store ─► signatures
//	                       Maker.Leaves, Maker.AppendEnvelope
package run
