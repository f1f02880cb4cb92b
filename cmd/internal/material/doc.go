// Package material makes and reads the files that a role is made of: keys,
// certificates, and the directory they are in.
//
// [Build] makes a directory as a whole or not at all: a program's init fills it
// through a [Folder] and it appears under its name when everything in it is on
// disk. [OpenKey] opens a private key from a file or on a token, [LoadSigner] the
// key and chain of a voucher signer, [LoadTLS] those of a server.
//
// Directories are made with mode 0700, private keys with 0600, everything else
// with 0644. Nothing is ever overwritten. Errors carry the exit code they mean
// (package program).
package material
