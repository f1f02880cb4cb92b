// Pledge is a device on the command line: it makes demonstration IDevIDs, joins a
// domain through a registrar (RFC 8995), renews its certificate and goes back to
// factory state. 'pledge help' lists the sub-commands.
//
// It is a thin program over package engine/pledge, which decides, and package
// cmd/pledge/client, which connects; a device maker imports these two.
package main
