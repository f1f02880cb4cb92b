// Package vectors finds the public test vectors, which tests read in place:
// in the folder VOUCHMILL_VECTORS names, or in shared/vectors beside a folder
// above the test. Without them tests skip; with CI=true they fail.
package vectors
