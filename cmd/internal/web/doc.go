// Package web carries the roles' decisions over HTTP/1.1 and TLS: it serves the
// routes of a MASA or a registrar, and decides nothing itself but who is served
// at all.
//
// List the role's operations as [Route] values, make a [Server] with [New], open
// listeners with [Listen] and give them to [Server.Run]:
//
//	s, err := web.New(web.Config{Routes: routes, Certificate: certificate.Get, Log: log})
//	...
//	listeners, at, err := web.Listen(ctx, u, nil)
//	...
//	err = s.Run(ctx, listeners, func() { fmt.Println("ready", at) })
//
// # From a refusal to an answer
//
// [Status] is the one table from [decision.Kind] to a status code. A refusal is
// answered with its public text as text/plain; what the operator is told goes to
// the log and nowhere else. Bodies, secrets and certificates are not logged.
//
// # What is limited before a role sees a request
//
// Connections in all and of one client, handshakes at a time in all and of one
// address, the header, the body, the octets of bodies in memory, the requests of
// one client by its key, and the requests in work: see [Limits]. A connection
// over a limit is closed, a request over one is answered 429 or 503 with
// Retry-After. Log lines are limited too, so that a flood cannot fill the disk;
// what was left out is counted.
//
// # Trust, time, concurrency
//
// The server asks for a client certificate, without naming authorities (RFC
// 8995 §5.1: any manufacturer may be behind it), and leaves judging it to the
// role. Session tickets are off, so the certificates of a connection are always
// those of its handshake. The clock is passed in; time limits on connections run
// by the operating system's. A Server is safe for concurrent use and runs once.
package web
