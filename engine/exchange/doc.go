// Package exchange holds a request as a role sees it and the answer it gives,
// in plain values, whatever transport carried them.
//
// A transport authenticates nothing by itself: it says which certificates the
// TLS client presented and proved to hold the key of ([Request.Peer]), and the
// role judges them. The clock is the transport's too ([Request.Now]).
package exchange
