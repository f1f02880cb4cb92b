// Package client is what a device on a network needs beside package pledge: HTTP
// over TLS to registrars, a folder for what must survive, and the system's clock.
// A device maker imports it:
//
//	dir, err := client.OpenDir("/var/lib/device/brski")
//	...
//	p, err := pledge.New(pledge.Config{
//		IDevID: idevid, VoucherAnchors: anchors,
//		Network: client.NewTransport(client.Options{}), Storage: dir, Clock: client.SystemClock{},
//	})
//	...
//	joined, err := p.Join(ctx, "https://registrar.example:8443")
//
// It pulls in the standard library and the packages that decide and encode, no
// database, no command line and no signing pipeline.
//
// # Trust
//
// The transport believes nobody: it completes a handshake with any TLS server
// that proves to hold the key of its certificate, and hands the certificates to
// the pledge, which judges them before a single octet of a request is sent. It
// follows no redirect, keeps no cookie, resumes no TLS session and uses no proxy
// of the environment. Answers are read up to the limit of their call, and only as
// long as they make progress.
//
// # Durability
//
// A [Dir] writes each file beside its old content, syncs it, renames it and syncs
// the folder before it says that the file is there. Files are readable by their
// owner only. One process at a time may have a folder open.
package client
