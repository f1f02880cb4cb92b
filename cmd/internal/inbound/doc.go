// Package inbound says whom a connection from outside counts for. Servers that
// allow each client so many connections or requests count by what [Source]
// returns.
//
// It keeps nothing and is safe for concurrent use.
package inbound
