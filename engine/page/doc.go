// Package page is the unit of storage: up to 256 vouchers of one run, reduced
// to what cannot be derived again from the run's header.
//
// A page describes itself. All integers are big-endian, varints are LEB128 as
// in encoding/binary:
//
//	octets  field
//	1       format version, 1
//	2       n, number of vouchers, 1 to 256
//	2       s, octets of one signature
//	4       octets of the serials section
//	2       octets of the variants section, 0: all have the first variant
//	2       octets of the lines section, 0: lines are consecutive
//	4       first variant
//	8       position of the first voucher in the run, from 0
//	8       line of the first voucher in the device list, from 1
//	…       serials: n × (varint length, octets)
//	…       variants: (n−1) × varint, of vouchers 1 to n−1
//	…       lines: (n−1) × zigzag varint of (line − previous line − 1)
//	n·s     signatures, raw, in order
//	32·k    nodes of the Merkle range [position, position+n), left to right
//	4       CRC-32C (Castagnoli) of everything before
//
// A [Builder] fills a page in two steps: the reader of the list adds devices
// until one does not fit, a worker signs straight into the page. Where a page
// ends depends on the data alone. A [View] reads a page in place.
package page
