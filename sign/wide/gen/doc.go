// Command gen writes the assembly of package wide and the Go declarations of
// the memory both share. Run it by go generate.
package main
