// Generate writes the test kit into the folder given, testdata by default, and
// removes files of the kit's folders that are no longer part of it.
//
//	go run ./testdata/generate
package main
