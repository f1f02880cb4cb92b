package badgerdir

import (
	"bytes"
	"errors"
	"io"
	"os"
)

const (
	// A file with fewer zeros at its end is left alone: Badger cut it.
	trimLeast = 1 << 20
	// Zeros left at the end. No record reaches over them: it would have to end
	// in that many itself, and a record ends in its checksum.
	trimMargin = 4 << 10
)

// trimZeros cuts the zeros off the end of a value log file that no process has
// open any more. Badger makes such a file as long as it may ever become, maps it
// into memory, and cuts it when it closes it; what a killed process leaves is as
// long as that, a hole for the most part, which many a tool copies octet by octet.
//
// Nothing but zeros goes, so what is read from the file is the same but for
// records that were never there: those are missing as before.
func trimZeros(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	end, err := lastNonZero(f, size)
	if err == nil && size-end >= trimLeast {
		if err = f.Truncate(end + trimMargin); err == nil {
			err = f.Sync()
		}
	}
	return errors.Join(err, f.Close())
}

// lastNonZero is where the zeros at the end of the first size octets of r begin.
// It reads those and little more.
func lastNonZero(r io.ReaderAt, size int64) (int64, error) {
	buf, zeros := make([]byte, 256<<10), make([]byte, 256<<10)
	for end := size; end > 0; {
		part := buf[:min(end, int64(len(buf)))]
		end -= int64(len(part))
		if _, err := r.ReadAt(part, end); err != nil && err != io.EOF {
			return 0, err
		}
		if !bytes.Equal(part, zeros[:len(part)]) {
			return end + int64(len(bytes.TrimRight(part, "\x00"))), nil
		}
	}
	return 0, nil
}
