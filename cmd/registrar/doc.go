// Registrar lets devices join a domain: RFC 8995 (BRSKI) for their vouchers, EST
// (RFC 7030) for their certificates. 'registrar help' lists the sub-commands;
// the README walks through them.
//
// Everything it decides is engine/registrar's; the program listens, reads its
// configuration and keys, and prints. Sub-commands about manufacturers, devices
// and certificates are clients of an admin API: that of the server where one
// runs, else the same handlers in the command's own process (cmd/internal/admin).
package main
