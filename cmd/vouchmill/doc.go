// Vouchmill issues, keeps, verifies and hands out RFC 8366 vouchers by the
// million. 'vouchmill help' lists the sub-commands; the README walks through
// them.
package main
