package devicelist

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/sign"
)

// A bundle is a directory of certificates that is sent as one PEM text: files
// that end in .pem, .crt, .cer and .der, in the order of their names, and of them
// nothing but certificates. It is safe for concurrent use.
type bundle struct {
	dir   string
	skip  bool // a file without a certificate is kept as bad, and passed over
	names []string
	rest  []byte // of the text, not yet read

	mu     sync.Mutex
	starts []start
	sent   uint64 // certificates
	bad    []*list.RowError
}

// start says which certificate of the bundle is the first of a file.
type start struct {
	first uint64
	file  string
}

func (b *bundle) open(dir string, f *os.File) (io.ReadCloser, error) {
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	for _, name := range names {
		switch strings.ToLower(filepath.Ext(name)) {
		case ".pem", ".crt", ".cer", ".der":
			b.names = append(b.names, name)
		}
	}
	if len(b.names) == 0 {
		return nil, program.Failedf("%s: no certificate files in the directory; give them names that end in .pem, .crt, .cer or .der", dir)
	}
	slices.Sort(b.names)
	b.dir = dir
	return io.NopCloser(b), nil
}

// Read reads the bundle. A file that cannot be read, or, unless such are to be
// skipped, that holds no certificate, is its error.
func (b *bundle) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if len(b.names) == 0 {
			return 0, io.EOF
		}
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *bundle) next() error {
	name := b.names[0]
	b.names = b.names[1:]
	text, err := program.ReadFile(filepath.Join(b.dir, name), sign.MaxPEMBytes)
	var usage *program.Error
	if err != nil && !(errors.As(err, &usage) && usage.Code == program.Usage) {
		return err
	}
	var certs [][]byte
	if err == nil {
		if certs = certificates(text); len(certs) == 0 {
			err = errors.New("no certificate in the file")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		bad := &list.RowError{File: name, Err: err, Remedy: "remove the file or give it another name"}
		if !b.skip {
			return &program.Error{Code: program.Failed, Err: bad}
		}
		b.bad = append(b.bad, bad)
		return nil
	}
	b.starts = append(b.starts, start{b.sent + 1, name})
	b.sent += uint64(len(certs))
	var out bytes.Buffer
	for _, der := range certs {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return err
		}
	}
	b.rest = out.Bytes()
	return nil
}

// certificates returns those of a file, PEM or one in DER.
func certificates(text []byte) (certs [][]byte) {
	if len(text) > 0 && text[0] == 0x30 {
		return [][]byte{text}
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			certs = append(certs, block.Bytes)
		}
	}
	return certs
}

// place gives a row of the bundle the file that it came from.
func (b *bundle) place(e *list.RowError) *list.RowError {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.starts) - 1; i >= 0; i-- {
		if s := b.starts[i]; e.Line >= s.first {
			e.File, e.Line = s.file, e.Line-s.first+1
			break
		}
	}
	return e
}

// left returns the files that were passed over.
func (b *bundle) left() []*list.RowError {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bad
}
