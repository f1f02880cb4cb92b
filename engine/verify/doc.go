// Package verify checks vouchers, any mix of formats, against trust anchors.
//
// [Run] takes sources ([File], [Entries], [StoredRun]), a [Trust] and, where the
// caller knows more, an [Expectation]; it streams a [Failure] for whatever does
// not hold and returns a [Report], which also says what was checked.
//
// # Order
//
// The checks of one voucher, in the order in which the first that fails is
// reported:
//
//	envelope       CMS, JWS or COSE can be read, within the limits
//	algorithm      it is known and fits the signer's key
//	chain          the signer leads to a trust anchor at the given time
//	digest         CMS: the content is the one that was signed
//	signature      it fits message and key
//	payload        the JSON or CBOR is a voucher
//	rules          RFC 8366: leaves that must, or must not, be together
//	time           created-on and expires-on at the given time, within [Skew]
//	entry          what stands beside the voucher in its bundle agrees with it
//	pin            the expected certificate is pinned
//	idevid-issuer  the expected issuer is named
//	serial-number  the device is expected, and this is its only voucher
//
// So nothing in a payload is looked at, let alone reported, before the
// signature over it has been verified. Where a voucher has several signers, one
// whose chain and signature hold is enough; when none does, the
// one that came furthest says why. The other checks are of what holds vouchers:
// read (a file or a bundle), page (a page of the store: checksum and Merkle
// nodes), manifest (signature, count, tree and templates).
//
// # Work
//
// One goroutine reads, workers check whole batches, one takes the results in
// order. Chains that were seen before are not built again, and signatures are
// verified in batches. Vouchers of a run begin alike, and differ in their serial
// numbers: a beginning that was hashed is compared instead, and a payload that
// repeats the one before, octet for octet but for its serial number, is neither
// read nor judged again but for that. Tests hold that each voucher is judged as
// if it were alone. Memory does not grow with the number of vouchers, but
// for the set of expected serial numbers.
package verify
