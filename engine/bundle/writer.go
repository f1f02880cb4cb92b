package bundle

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/vouchmill/vouchmill/engine/manifest"
)

const writeBuffer = 1 << 18

// Options says what is written. The zero value takes kind and compression from
// the path's extension.
type Options struct {
	// Kind and Compression force the form; KindUnknown takes both from the path.
	Kind        Kind
	Compression Compression
	// Manifest is the run's signed manifest, nil for a bundle without one.
	Manifest []byte
	// ModTime is the time on the members of a tar file, best created-on of the
	// run; the zero value is the Unix epoch.
	ModTime time.Time
	// Replace lets a file (never a directory) take the place of an earlier one.
	Replace bool
}

// Writer writes one bundle. It is not for concurrent use. Until Commit there
// is nothing under the bundle's name; after Abort nothing under any.
type Writer struct {
	name    string
	opts    Options
	out     sink
	tar     *tar.Writer // KindTar
	body    io.Writer   // NDJSON, CBOR sequence
	closers []io.Closer // inside out: what must be flushed before out is
	buf     []byte
	count   uint64
	err     error // the first failure; all later calls return it
	done    bool
}

// sink is where a bundle's bytes or files go.
type sink interface {
	commit() error
	abort() error
}

// Create begins the bundle at path. The manifest is written where its form
// keeps it. The error is an [*Error]: of kind ErrExists for a target that is
// there, ErrKind for an extension that says nothing.
func Create(path string, opts Options) (*Writer, error) {
	if opts.Kind == KindUnknown {
		var err error
		if opts.Kind, opts.Compression, err = KindOf(path); err != nil {
			return nil, err
		}
	}
	w := &Writer{name: path, opts: opts}
	if opts.Kind == KindDir {
		if opts.Compression != Uncompressed {
			return nil, fail(path, "", ErrUsage, "a directory cannot be compressed")
		}
		dir, err := createDir(filepath.Clean(path), opts.Manifest)
		if err != nil {
			return nil, err
		}
		w.out = dir
		return w, nil
	}
	file, err := createFile(path, opts.Replace)
	if err != nil {
		return nil, err
	}
	w.out = file
	if opts.Kind != KindTar {
		file.manifest = opts.Manifest
	}
	if err := w.begin(file.f); err != nil {
		return nil, joinAbort(err, file.abort())
	}
	return w, nil
}

// NewStream begins a bundle on out, standard output say, which stays open. It
// needs Options.Kind; a tar file only can carry the manifest. What was written
// stays written after Abort.
func NewStream(out io.Writer, name string, opts Options) (*Writer, error) {
	switch {
	case opts.Kind != KindTar && opts.Kind != KindNDJSON && opts.Kind != KindCBORSeq:
		return nil, fail(name, "", ErrUsage, "a %v cannot be written to a stream", opts.Kind)
	case opts.Kind != KindTar && opts.Manifest != nil:
		return nil, &Error{Name: name, Kind: ErrUsage, Detail: fmt.Sprintf("a stream of %v has no place for the manifest", opts.Kind),
			Remedy: "write a tar file, or write to a file"}
	}
	w := &Writer{name: name, opts: opts, out: stream{}}
	if err := w.begin(out); err != nil {
		return nil, err
	}
	return w, nil
}

// stream is a sink that is the caller's to close.
type stream struct{}

func (stream) commit() error { return nil }
func (stream) abort() error  { return nil }

// flusher makes Close of a buffer write what it holds.
type flusher struct{ *bufio.Writer }

func (f flusher) Close() error { return f.Flush() }

// begin stacks buffer, compression and form, and writes what comes first.
func (w *Writer) begin(out io.Writer) error {
	buffer := bufio.NewWriterSize(out, writeBuffer)
	w.closers = []io.Closer{flusher{buffer}}
	w.body = buffer
	switch w.opts.Compression {
	case Uncompressed:
	case Gzip:
		z := gzip.NewWriter(buffer)
		w.closers, w.body = append([]io.Closer{z}, w.closers...), z
	case Zstd:
		// One goroutine: the bytes must not depend on how many there are.
		z, err := zstd.NewWriter(buffer, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return wrap(w.name, "", err)
		}
		w.closers, w.body = append([]io.Closer{z}, w.closers...), z
	default:
		return fail(w.name, "", ErrUsage, "unknown compression %d", w.opts.Compression)
	}
	switch w.opts.Kind {
	case KindTar:
		w.tar = tar.NewWriter(w.body)
		w.closers = append([]io.Closer{w.tar}, w.closers...)
		if w.opts.Manifest != nil {
			return w.addMember(manifest.FileName, w.opts.Manifest)
		}
	case KindNDJSON, KindCBORSeq:
	default:
		return fail(w.name, "", ErrUsage, "%v cannot be written", w.opts.Kind)
	}
	return nil
}

// Add appends one voucher. Entries come in run order; the caller sees to it
// that none comes twice. The error is an [*Error]; after one that is not of
// kind ErrEntry the bundle can only be aborted.
func (w *Writer) Add(e *Entry) error {
	if w.err != nil {
		return w.err
	}
	if w.done {
		return fail(w.name, "", ErrUsage, "it is closed")
	}
	if err := e.check(w.name); err != nil {
		return err
	}
	if w.err = w.add(e); w.err != nil {
		return w.err
	}
	w.count++
	return nil
}

func (w *Writer) add(e *Entry) error {
	switch w.opts.Kind {
	case KindNDJSON, KindCBORSeq:
		if w.opts.Kind == KindNDJSON {
			w.buf = e.appendJSON(w.buf[:0])
		} else {
			w.buf = e.appendCBOR(w.buf[:0])
		}
		_, err := w.body.Write(w.buf)
		return wrap(w.name, "", err)
	}
	var keyID []byte
	if e.Shared {
		keyID = e.IssuerKeyID
	}
	w.buf = AppendName(w.buf[:0], e.Serial, keyID, e.Format)
	if w.tar != nil {
		return w.addMember(string(w.buf), e.Voucher)
	}
	return w.out.(*directory).add(string(w.buf), e.Voucher)
}

func (w *Writer) addMember(name string, body []byte) error {
	modified := w.opts.ModTime.Truncate(time.Second)
	if w.opts.ModTime.IsZero() {
		modified = time.Unix(0, 0)
	}
	err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(body)), Mode: 0o644, ModTime: modified})
	if err == nil {
		_, err = w.tar.Write(body)
	}
	return wrap(w.name, "member "+name, err)
}

// Count is how many vouchers have been added.
func (w *Writer) Count() uint64 { return w.count }

// Commit finishes the bundle and puts it under its name; when it returns nil,
// bundle and manifest are durable. On an error there is nothing under the
// name that was not there before.
func (w *Writer) Commit() error {
	if w.done {
		return fail(w.name, "", ErrUsage, "it is closed")
	}
	err := w.err
	for _, c := range w.closers {
		if err == nil {
			err = wrap(w.name, "", c.Close())
		}
	}
	if err != nil {
		return joinAbort(err, w.Abort())
	}
	w.done = true
	if err := w.out.commit(); err != nil {
		return joinAbort(wrap(w.name, "", err), w.out.abort())
	}
	return nil
}

// Abort gives the bundle up and removes what was written of it. After Commit
// it does nothing, so it can be deferred.
func (w *Writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	return wrap(w.name, "", w.out.abort())
}

// joinAbort reports what is left lying about beside the failure itself.
func joinAbort(err, abort error) error {
	if abort == nil || os.IsNotExist(abort) {
		return err
	}
	return fmt.Errorf("%w (and cleaning up: %w)", err, abort)
}
