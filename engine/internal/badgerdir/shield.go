package badgerdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// emptyValueLog is what Badger takes for a value log file without entries: the
// number of the encryption key (none) and an unused initial vector.
var emptyValueLog [20]byte

// Shield keeps Badger from cutting the value log. It is called under the lock,
// before Badger opens the directory. Badger then reads the newest file of the
// value log and truncates it before the first entry that fails its checksum.
// That entry may be a single flipped bit in front of thousands of durable
// records. So an empty file is made the newest; the file before it stays as it
// is, each record in it is checked when it is read, and the directory opens
// without being read from end to end.
//
// Badger syncs the file it writes to and no other. What a killed process wrote
// and had no time to sync would stay so while it counts as durable, so the file
// is synced before another becomes the newest. Then it is also cut to what is in
// it.
func Shield(dir string) error { return shield(dir, SyncFile) }

// shield is Shield with the call that syncs the file named.
func shield(dir string, sync func(path string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	newest, size := 0, int64(0)
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "%d.vlog", &n); err != nil || n < newest {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		newest, size = n, info.Size()
	}
	if newest == 0 || size == int64(len(emptyValueLog)) {
		return nil
	}
	behind := filepath.Join(dir, fmt.Sprintf("%06d.vlog", newest))
	if err := sync(behind); err != nil {
		return err
	}
	if err := trimZeros(behind, size); err != nil {
		return err
	}
	path := filepath.Join(dir, fmt.Sprintf("%06d.vlog", newest+1))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(emptyValueLog[:])
	return errors.Join(err, f.Sync(), f.Close())
}
