package pledge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/vouchmill/vouchmill/engine/decision"
)

// A Storage keeps a few small files with names of letters, digits and dots. It
// is trusted: who can write to it can give the device another owner.
//
// Put replaces a file as a whole: after a power cut there is the old content or
// the new one. When Put or Delete has returned nil, that is durable, and so are
// all calls before it. Get of a file that is not there returns an error that
// wraps fs.ErrNotExist; Delete of one returns nil. Files hold a private key and
// must be readable by the device alone.
type Storage interface {
	Get(name string) ([]byte, error)
	Put(name string, content []byte) error
	Delete(name string) error
}

// Names of the files. The voucher's name ends in its format's extension,
// voucher.vcj or voucher.vjj.
const (
	FileState   = "state.json"
	FileKey     = "ldevid.key"
	FileCert    = "ldevid.pem"
	FileCACerts = "cacerts.pem"
)

// staged is what the name of a file ends in that is not in force yet.
const staged = ".next"

var voucherFiles = []string{"voucher.vcj", "voucher.vjj"}

// fileNames are all that a device keeps beside FileState.
func fileNames() []string { return append([]string{FileKey, FileCert, FileCACerts}, voucherFiles...) }

// A StorageError is a Storage that failed. What the device had before stays in
// force.
type StorageError struct {
	Op, Name string
	Err      error
}

// Error names the file.
func (e *StorageError) Error() string {
	return fmt.Sprintf("storage: %s %s: %v", e.Op, e.Name, e.Err)
}

// Unwrap returns the storage's error.
func (e *StorageError) Unwrap() error { return e.Err }

// vault is a Storage in which several files change at once. New files are
// staged beside those in force; state.json, which holds the digests of the files
// that belong together, brings them into force in one Put; then they are moved to
// their names, which recover does where a power cut came between.
type vault struct{ storage Storage }

func (v vault) get(name string) ([]byte, error) {
	content, err := v.storage.Get(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &StorageError{"read", name, err}
	}
	return content, err
}

func (v vault) put(name string, content []byte) error {
	if err := v.storage.Put(name, content); err != nil {
		return &StorageError{"write", name, err}
	}
	return nil
}

func (v vault) delete(names ...string) error {
	for _, name := range names {
		if err := v.storage.Delete(name); err != nil {
			return &StorageError{"delete", name, err}
		}
	}
	return nil
}

// stage makes a file durable without bringing it into force.
func (v vault) stage(name string, content []byte) error { return v.put(name+staged, content) }

// commit brings files into force that were staged: s is completed with their
// digests. Files of the state before that are not among them stay.
func (v vault) commit(s *State, files map[string][]byte) error {
	s.Files = maps.Clone(s.Files)
	if s.Files == nil {
		s.Files = map[string]string{}
	}
	for name, content := range files {
		s.Files[name] = digest(content)
	}
	text, err := s.marshal()
	if err != nil {
		return err
	}
	if err := v.put(FileState, text); err != nil {
		return err
	}
	return v.settle(s)
}

// replace stages files and brings them into force.
func (v vault) replace(s *State, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := v.stage(name, files[name]); err != nil {
			return err
		}
	}
	return v.commit(s, files)
}

// settle moves staged files to their names as far as that has not happened, and
// checks that what is in force is whole.
func (v vault) settle(s *State) error {
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		if err := v.settleFile(name, s.Files[name]); err != nil {
			return err
		}
	}
	for _, name := range fileNames() {
		if _, belongs := s.Files[name]; !belongs {
			if err := v.delete(name, name+staged); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v vault) settleFile(name, want string) error {
	content, err := v.get(name)
	if err == nil && digest(content) == want {
		return v.delete(name + staged)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	content, err = v.get(name + staged)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && digest(content) != want:
		return decision.Refuse(InconsistentStorage, "%s is not the file that %s names; reset the device and let it join again", name, FileState)
	case err != nil:
		return err
	}
	if err := v.put(name, content); err != nil {
		return err
	}
	return v.delete(name + staged)
}

// recover returns the state in force after whatever happened before, and clears
// away what is not part of it. It returns nil for a device in factory state.
func (v vault) recover() (*State, error) {
	text, err := v.get(FileState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, v.clear()
	}
	if err != nil {
		return nil, err
	}
	s, err := parseState(text)
	if err != nil {
		return nil, err
	}
	return s, v.settle(s)
}

// reset puts the device back into factory state. With state.json gone the other
// files mean nothing.
func (v vault) reset() error {
	if err := v.delete(FileState); err != nil {
		return err
	}
	return v.clear()
}

// clear deletes every file but state.json.
func (v vault) clear() error {
	for _, name := range fileNames() {
		if err := v.delete(name, name+staged); err != nil {
			return err
		}
	}
	return nil
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Reset puts a device back into factory state, the only way for it to join
// again (RFC 8995 §2.1). It also clears storage that is not consistent. A power
// cut leaves the device either as it was or reset.
func Reset(s Storage) error { return vault{s}.reset() }

// Load returns what a device has from joining, nil for one in factory state. It
// first finishes what a power cut interrupted. The error is a *StorageError, or
// a *decision.Refusal of kind InconsistentStorage.
func Load(s Storage) (*Joined, error) {
	state, err := vault{s}.recover()
	if err != nil || state == nil {
		return nil, err
	}
	return vault{s}.open(state)
}

// notFactory returns the state of a device that joined.
func notFactory(s Storage) (*Joined, error) {
	j, err := Load(s)
	if err == nil && j == nil {
		err = decision.Refuse(NotJoined, "the device has not joined a domain: there is no %s; join first", FileState)
	}
	return j, err
}

// contextError says that err came because the context ended.
func contextError(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

// fatal reports whether an error is none of a registrar's: trying another does
// not help.
func fatal(err error) bool {
	var storage *StorageError
	return errors.As(err, &storage) || decision.Is(err, InconsistentStorage) || decision.Is(err, ForeignState)
}
