// Command gen writes the assembly of package sha256x16 and the Go declarations
// of the memory both share. Run it by go generate.
package main
