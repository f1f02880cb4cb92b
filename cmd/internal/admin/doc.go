// Package admin is how an operator's commands reach a role: an API of JSON over
// HTTP on a Unix socket, and the same handlers in the command's own process when
// no server runs.
//
// A role's program writes its API once, as an http.Handler of [Handle] and
// [Streaming] functions. Its server offers it with [Listen] and [Serve]; its
// commands call it through [Client], which finds the server's socket or, where
// there is none, opens the role's store and calls the handler in-process. Since
// one process at a time can have the store open, these are the only two cases,
// and a command cannot tell them apart:
//
//	c, done, err := admin.Client(ctx, socket, open)
//	...
//	defer done()
//	err = admin.Get(ctx, c, "/devices/SN-1", &device)
//	err = admin.Pages(ctx, c, "/devices", func(d Device) error { ... })
//	err = admin.Upload(ctx, c, "/devices/import", file, &result, progress)
//
// Errors are {"error": what, "remedy": what to do} with a status, and arrive at
// the command as the [*Error] they were. Listings come in pages. Uploads are
// streamed in while lines of progress stream back, each {"event": data}; the
// last line is "result" or "error".
//
// # Trust
//
// The socket has mode 0600 in a directory of mode 0700: who may open it may do
// everything, as the owner of the files can anyway. [ListenTLS] is the opt-in for
// other machines; there every client needs a certificate under the operator's CA.
package admin
