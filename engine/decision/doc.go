// Package decision is how a role says what it decided about a request, and why.
//
// A decision of the MASA, the registrar or the pledge ends in a result or in a
// [Refusal]. A Refusal has a [Kind], which a transport maps to its own status;
// Public, which the peer may know; and Operator, which whoever runs the role
// must know. [Refuse] makes one.
//
// A [Trail] collects the checks of one attempt in the order in which they were
// made, so that an operator can be shown afterwards how far a device came and
// what stopped it. It belongs to one attempt and is not for concurrent use.
//
//	var trail decision.Trail
//	trail.Pass("serial-number", "%q", serial)
//	return trail.Refuse(decision.BadNonce, "nonce", "it has %d octets, want 8 to 32", n)
package decision
