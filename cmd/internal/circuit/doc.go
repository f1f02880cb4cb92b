// Package circuit is the join proxy of RFC 8995 §4 for networks whose pledges
// cannot reach the registrar: a TCP circuit proxy, which passes octets on
// unchanged and knows nothing of TLS.
//
//	p, err := circuit.New(circuit.Config{Registrar: "registrar.example.com:8443", Log: log})
//	...
//	err = p.Run(ctx, listeners)
//
// # What is limited
//
// A join proxy stands in a network of strangers, so it holds only so many
// circuits, in all and for one source address, each only as long as something
// moves and never for longer than a total: see [Limits]. A connection over a
// limit, or one for which the registrar cannot be reached, is reset at once; a
// pledge then tries another proxy (RFC 8995 §2.1). Memory is bounded by the
// number of circuits: 32 KiB each. Log lines are limited too.
//
// # How circuits end
//
// When one side ends its half of the connection the other is told so, and may
// go on sending for as long as it does send. A circuit that is cut, by a limit or
// because one side broke off, ends in a reset on both sides and never in what
// would look like an orderly end.
//
// # Trust, concurrency
//
// Nothing that passes is trusted, looked at or kept, and the proxy has no key:
// pledge and registrar authenticate each other end to end. A Proxy is safe for
// concurrent use.
package circuit
