// Package status is what the servers of all roles say of themselves to the status
// commands: version, since when they run, what their web server counted, and how
// well signatures share batches.
//
// A server answers with a [Server], embedded in what its role has to add, so that
// both are one JSON object; [Of] makes it. A command prints [Server.Facts] and
// its role's own with [Print].
package status
