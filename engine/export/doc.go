// Package export writes a stored run as a bundle: [Run] takes the run and a
// path, and leaves either the whole bundle there or nothing.
//
// Vouchers are rebuilt by several workers and written in run order, so a bundle
// has the same bytes wherever and by however many it is made. On the way each
// page's checksum and Merkle nodes are checked, and at the end the tree against
// the run's manifest: damage ends the export with its place named. Signatures
// are not verified one by one; what leads from them to the signed manifest is.
//
// Where two issuers share a serial number, their vouchers' files need names that
// tell them apart. Which those are is found beforehand, in a pass over the pages
// that takes up to 12 octets a device; runs of one issuer and bundles without
// file names skip it.
package export
