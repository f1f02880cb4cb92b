// Package masa is the Manufacturer Authorized Signing Authority of RFC 8995: it
// decides who gets a voucher for which device, and keeps the record of it. It
// knows no transport; requests and answers are the values of package exchange.
//
//	s, err := masa.New(masa.Config{DB: db, Log: log, Verifier: verifier, Signer: signer, Chain: chain, Manufacturers: makers})
//	_, err = s.ImportDevices(ctx, list, masa.ImportOptions{Now: now})
//	answer, err := s.RequestVoucher(ctx, request)    // *decision.Refusal
//	answer, err = s.RequestAuditLog(ctx, request)
//
// # Who gets what
//
// A request with a nonce is served to any registrar that the device itself has
// seen: its own request, signed by its IDevID and held in the registrar's, names
// a key on the path of the registrar's signature. The voucher says "proximity",
// or "verified" where the registrar belongs to the customer that owns the device.
// Without the device's request it says "logged", unless Config.RequirePrior.
// Of those one device gets 16 a day, of the others 1000, its owner's aside: no
// stranger can fill the log.
//
// A device, or a pool of devices, may be exclusive: then nobody but its owner is
// served, and while it has no owner, nobody but the domain that the device has
// seen and whose voucher became durable first (Release takes that back, Own
// overrides it).
//
// A request without nonce is served to customers alone: its signer leads to an
// anchor of a customer that owns the device and is allowed such vouchers, over a
// TLS connection with that customer's client certificate where one is set. If a
// voucher for it was imported with a run (ImportRun) and pins a CA on the
// signer's path, that one is served.
//
// Only a certificate on the path from the signer can be pinned: each issued by
// the next, by name and signature, as RFC 5280 §6.1 has it; for the owner of the
// device, only one that the customer's anchor vouches for. What merely lies in an
// envelope never is. The signer carries id-kp-cmcRA.
//
// # Durability
//
// One transaction holds the check that nothing the decision was based on has
// changed, the change of the device, the audit event, the digest of the request
// and the answer. The voucher is signed before it and leaves after it is on
// disk; if it fails, the voucher is thrown away. The same request gets the same
// octets for a day, after a restart too, and no second event. Refusals are put
// on record with the device, the last 16 of them and a count, where the signer
// leads to a customer; of all others Config.Observe is told, and nothing is
// written: a stranger cannot fill the disk with them.
//
// # Trust
//
// Whoever can write to the database decides who owns what; the audit log shows
// changes of what was issued, see package audit. Configured manufacturers are
// believed about devices, customers' anchors about registrars. Device lists
// without certificates are believed as they are. A Service holds no key: the
// voucher signer is reached through Config.Signer.
//
// A Service is safe for concurrent use. It never looks at a clock: requests
// carry their time.
package masa
