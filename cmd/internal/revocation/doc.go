// Package revocation looks up whether a registrar's certificates were revoked by
// the authority that issued them, in the revocation lists that they name (RFC
// 5280 §4.2.1.13 and §5; RFC 8995 §5.5.4 wants a MASA to be able to).
//
// A [Checker] is a masa.Revocation:
//
//	c := revocation.New(revocation.Config{Strict: false})
//	err := c.Check(ctx, path, now)
//
// The certificates of registrars that nobody knows are checked too, so where a
// list is fetched from is a stranger's to choose: addresses are judged (package
// outbound), redirects are not followed, lists have a size and a time limit, and
// what was fetched, or could not be, is remembered for a while.
//
// A list counts only if the issuer of the certificate signed it, it is complete
// (no deltas, no lists for others), and neither too old nor from the future. A
// certificate on such a list is refused. Where no list can be had, a Strict
// Checker refuses and any other lets pass: many a domain's list is not to be
// reached from where the MASA is. OCSP is not spoken.
//
// A Checker is safe for concurrent use.
package revocation
