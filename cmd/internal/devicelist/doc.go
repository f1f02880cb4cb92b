// Package devicelist takes lists of devices from an operator's files to a role,
// through its admin API: [Flags] and [Flags.Upload] are the command's side,
// [Handler] is the API's.
//
// A list is sent as it is, whatever form it has (package list tells by content),
// so that what is big is read once, where it is used; a directory of
// certificates is sent as one bundle. While it goes up, progress and the rows
// that cannot be used come back. As with vouchmill issue, the first such row ends
// the import unless --on-error is skip, and --rejects gets all of them with their
// reasons.
package devicelist
