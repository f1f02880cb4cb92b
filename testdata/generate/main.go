package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vouchmill/vouchmill/testdata/kit"
)

func main() {
	folder := "testdata"
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	if err := generate(folder); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(folder string) error {
	files, err := kit.Build()
	if err != nil {
		return err
	}
	folders := map[string]bool{}
	for _, name := range kit.Names(files) {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if dir, _, inside := strings.Cut(name, "/"); inside {
			folders[dir] = true
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
	}
	for dir := range folders {
		if err := prune(folder, dir, files); err != nil {
			return err
		}
	}
	return nil
}

// prune removes what is in a folder of the kit and not in the kit.
func prune(root, dir string, files map[string][]byte) error {
	return filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if _, part := files[filepath.ToSlash(name)]; part {
			return nil
		}
		return os.Remove(path)
	})
}
