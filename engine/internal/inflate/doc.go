// Package inflate reads what gzip (RFC 1952) and Zstandard (RFC 8878) compressed,
// as long as it stays in proportion: what a few octets can make of themselves is
// bounded by a ratio, and so is what a frame may ask to be remembered.
//
// [Detect] tells by the first octets whether there is anything to inflate, and
// [NewReader] does it. Device lists and bundles are read through it.
package inflate
