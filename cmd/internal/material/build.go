package material

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
)

// A Folder is a directory in the making.
type Folder struct {
	dir  string
	name string
}

// Build makes dir out of what fill writes. It is made beside its place under
// another name and renamed when all of it is on disk: a failure, a crash even,
// leaves no half of it at dir. One that exists already, an empty one too, is
// refused.
func Build(dir string, fill func(*Folder) error) error {
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); err == nil {
		return program.Usagef("%s exists already; nothing is ever overwritten: choose another name or remove it first", dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return program.IOError(err)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return program.IOError(err)
	}
	temporary := filepath.Join(parent, "."+filepath.Base(dir)+"-"+rand.Text()+".tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return program.IOError(err)
	}
	err := fill(&Folder{temporary, dir})
	if err == nil {
		err = place(temporary, dir)
	}
	if err != nil {
		return errors.Join(program.IOError(err), os.RemoveAll(temporary))
	}
	return program.IOError(SyncDir(parent))
}

func place(temporary, dir string) error {
	if err := SyncDir(temporary); err != nil {
		return err
	}
	err := renameNew(temporary, dir)
	if errors.Is(err, fs.ErrExist) {
		return program.Usagef("%s was made by somebody else in the meantime; nothing is ever overwritten", dir)
	}
	return err
}

// Path is where a file of the folder is while the folder is in the making.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, name) }

// Mkdir makes a directory in the folder, mode 0700.
func (f *Folder) Mkdir(name string) error {
	if err := os.Mkdir(f.Path(name), 0o700); err != nil {
		return err
	}
	return SyncDir(f.dir)
}

// Write writes a file that everybody may read.
func (f *Folder) Write(name string, data []byte) error { return WriteNew(f.Path(name), data, 0o644) }

// Secret writes a file that its owner alone may read.
func (f *Folder) Secret(name string, data []byte) error { return WriteNew(f.Path(name), data, 0o600) }

// Key writes a private key, PKCS#8 in PEM.
func (f *Folder) Key(name string, key crypto.Signer) error {
	text, err := sign.MarshalKeyPEM(key, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer clear(text)
	return f.Secret(name, text)
}

// Certificates writes a chain in PEM, the end entity's first.
func (f *Folder) Certificates(name string, chain ...*x509.Certificate) error {
	return f.Write(name, ca.ChainPEM(chain...))
}

// WriteNew writes a file that must not be there yet, durably but for its entry
// in the directory.
func WriteNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// SyncDir puts the entries of a directory on disk, where directories can be synced.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) || isInvalid(err) {
		err = nil // a file system whose directories are always on disk
	}
	return errors.Join(err, d.Close())
}
