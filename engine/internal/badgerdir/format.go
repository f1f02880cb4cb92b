package badgerdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// FormatName is the file that tells the format of a directory: a word for its
// kind and a version. It is written first and read before Badger touches
// anything.
const FormatName = "FORMAT"

// ErrNoFormat is returned by [ReadFormat] for a directory without the file.
var ErrNoFormat = errors.New("there is no " + FormatName + " file")

// ReadFormat reads the version of a directory whose kind is given. ok is false
// when the file tells another kind.
func ReadFormat(dir, kind string) (version string, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, FormatName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, ErrNoFormat
	}
	if err != nil {
		return "", false, err
	}
	version, ok = strings.CutPrefix(string(bytes.TrimSpace(b)), kind+" ")
	return version, ok && len(version) <= 20, nil
}

// WriteFormat creates the format file, durably, unless there is one.
func WriteFormat(dir, kind string, version int) error {
	path := filepath.Join(dir, FormatName)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d\n", kind, version)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// Stranger returns the name of something in dir that would not be there if dir
// were empty or a process had been killed before it wrote the format file;
// empty when there is nothing of the kind.
func Stranger(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Name() != HolderName && e.Name() != FormatName+".tmp" && e.Name() != "lost+found" {
			return e.Name(), nil
		}
	}
	return "", nil
}
