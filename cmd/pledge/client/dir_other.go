//go:build !unix

package client

import "os"

// lockFile does nothing: there is no lock to be had that ends with the process.
func lockFile(*os.File) (held bool, err error) { return true, nil }

// syncDir does nothing: folders cannot be synced, names are durable by themselves.
func syncDir(string) error { return nil }
