// Package peers makes and reads the same voucher with this module and with the
// libraries of the field: smallstep/pkcs7, go-jose and veraison/go-cose. It is a
// module of its own, so that what only a comparison needs stays out of the
// module proper.
//
//	cd bench/peers && go test -run '^$' -bench .
//
// Each library is used the way its documentation shows, with the key, the chain
// and the payload of our voucher; all work is on one processor. A peer is handed
// its payload finished, while ours encodes it. Both sides sign by ECDSA with
// P-256 and SHA-256; impl=vouchmill is our best signer, impl=portable the one
// that needs no vector registers.
package peers
