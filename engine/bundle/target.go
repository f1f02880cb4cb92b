package bundle

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vouchmill/vouchmill/engine/manifest"
)

// orderName is the file of a directory that lists the others in run order.
const orderName = "order.txt"

// temporary is a name beside path that nobody else has.
func temporary(path string) string {
	dir, base := filepath.Split(path)
	return filepath.Join(dir, ".vouchmill-"+base[:min(len(base), 100)]+"-"+rand.Text()+".tmp")
}

// refuseExisting reports a target that is there already.
func refuseExisting(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return &Error{Name: path, Kind: ErrExists, Remedy: "choose another name or remove it first"}
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return wrap(path, "", err)
}

// file is a bundle of one file, perhaps with its manifest beside it.
type file struct {
	path, temp   string
	f            *os.File
	manifest     []byte // to be written beside, or nil
	manifestTemp string // while that lies under a temporary name
	replace      bool
}

func createFile(path string, replace bool) (*file, error) {
	if !replace {
		for _, target := range []string{path, path + manifest.FileSuffix} {
			if err := refuseExisting(target); err != nil {
				return nil, err
			}
		}
	}
	t := &file{path: path, temp: temporary(path), replace: replace}
	var err error
	if t.f, err = os.OpenFile(t.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); err != nil {
		return nil, wrap(path, "", err)
	}
	return t, nil
}

// commit puts the file under its name, then its manifest. An earlier manifest
// goes first, so that no moment shows a manifest beside another run's bundle.
func (t *file) commit() error {
	if err := syncClose(t.f); err != nil {
		return err
	}
	beside := t.path + manifest.FileSuffix
	if t.manifest != nil {
		t.manifestTemp = temporary(beside)
		if err := writeSynced(t.manifestTemp, t.manifest); err != nil {
			return err
		}
	}
	if t.replace {
		if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := t.place(t.temp, t.path); err != nil {
		return err
	}
	if t.manifestTemp != "" {
		if err := t.place(t.manifestTemp, beside); err != nil {
			if !t.replace {
				err = errors.Join(err, os.Remove(t.path))
			}
			return err
		}
	}
	return syncDir(filepath.Dir(t.path))
}

// place moves from to its name; without replace it is a link first, which
// fails where the name came to be in use meanwhile.
func (t *file) place(from, to string) error {
	if t.replace {
		return os.Rename(from, to)
	}
	err := os.Link(from, to)
	switch {
	case err == nil:
		return os.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return &Error{Name: to, Kind: ErrExists, Remedy: "choose another name or remove it first"}
	}
	// A file system without links.
	if err := refuseExisting(to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (t *file) abort() error {
	t.f.Close() // already closed, or its error no longer matters
	var errs []error
	for _, name := range []string{t.temp, t.manifestTemp} {
		if name == "" {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// directory is a bundle of one file a voucher.
type directory struct {
	path, temp string
	order      *os.File
	lines      *bufio.Writer
}

func createDir(path string, manifestBytes []byte) (*directory, error) {
	if err := refuseExisting(path); err != nil {
		return nil, err
	}
	d := &directory{path: path, temp: temporary(path)}
	if err := os.Mkdir(d.temp, 0o777); err != nil {
		return nil, wrap(path, "", err)
	}
	var err error
	if manifestBytes != nil {
		err = writeNew(filepath.Join(d.temp, manifest.FileName), manifestBytes)
	}
	if err == nil {
		d.order, err = os.OpenFile(filepath.Join(d.temp, orderName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	if err != nil {
		return nil, joinAbort(wrap(path, "", err), os.RemoveAll(d.temp))
	}
	d.lines = bufio.NewWriterSize(d.order, writeBuffer)
	return d, nil
}

func (d *directory) add(name string, voucher []byte) error {
	err := writeNew(filepath.Join(d.temp, name), voucher)
	if errors.Is(err, fs.ErrExist) {
		return &Error{Name: d.path, Place: name, Kind: ErrExists,
			Detail: "two vouchers have this name, or names that the file system takes for the same",
			Remedy: "write a tar file instead"}
	}
	if err == nil {
		_, err = d.lines.WriteString(name + "\n")
	}
	return wrap(d.path, name, err)
}

func (d *directory) commit() error {
	if err := d.lines.Flush(); err != nil {
		return err
	}
	if err := d.order.Close(); err != nil {
		return err
	}
	if err := syncTree(d.temp); err != nil {
		return err
	}
	if err := refuseExisting(d.path); err != nil {
		return err
	}
	if err := os.Rename(d.temp, d.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(d.path))
}

func (d *directory) abort() error {
	d.order.Close() // already closed, or its error no longer matters
	return os.RemoveAll(d.temp)
}

func writeNew(path string, body []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Close())
}

func writeSynced(path string, body []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if _, err := f.Write(body); err != nil {
		return errors.Join(err, f.Close())
	}
	return syncClose(f)
}

func syncClose(f *os.File) error { return errors.Join(f.Sync(), f.Close()) }

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("fsync %s: %w", path, err), d.Close())
	}
	return d.Close()
}
