package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/vouchmill/vouchmill/engine/yamlfile"
)

// MaxBytes bounds a configuration file, in octets.
const MaxBytes = yamlfile.MaxBytes

// A Table is all keys of a program.
type Table struct {
	program  string
	bindings []Binding
	set      map[string]int // line of each key that the file sets
}

// NewTable makes the table of a program. Two keys of one name are a mistake of
// the program: it panics.
func NewTable(program string, bindings ...Binding) *Table {
	t := &Table{program: program, bindings: bindings}
	names := map[string]bool{}
	for _, b := range bindings {
		if names[b.Name] {
			panic("config: two keys are called " + b.Name)
		}
		names[b.Name] = true
	}
	return t
}

// Keys lists all keys, in the table's order.
func (t *Table) Keys() []Key {
	keys := make([]Key, len(t.bindings))
	for i, b := range t.bindings {
		keys[i] = b.Key
	}
	return keys
}

// IsSet reports whether the file that was loaded sets a key.
func (t *Table) IsSet(name string) bool { return t.set[name] > 0 }

// Load reads a file over the fields. The error is an [*Error] or the operating
// system's.
func (t *Table) Load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return t.Parse(text, file, dir)
}

// Parse reads a text over the fields; file is what errors call it, and relative
// paths count from dir. The error is an [*Error].
func (t *Table) Parse(text []byte, file, dir string) error {
	pairs, err := yamlfile.Parse(text)
	if err != nil {
		t.set = map[string]int{}
		return fromYAML(err, file)
	}
	return t.read(pairs, file, dir)
}

// read reads pairs over the fields.
func (t *Table) read(pairs []yamlfile.Pair, file, dir string) error {
	t.set = map[string]int{}
	for _, p := range pairs {
		if err := t.pair(p, file, dir); err != nil {
			return err
		}
	}
	for _, b := range t.bindings {
		if t.set[b.Name] > 0 {
			continue
		}
		if b.Default == required {
			return &Error{File: file, Key: b.Name, Kind: ErrMissing, Detail: b.Meaning, Remedy: "it takes " + b.Values}
		}
		if b.unset == nil {
			continue
		}
		if err := b.unset(dir); err != nil {
			return &Error{File: file, Key: b.Name, Kind: ErrValue, Err: err}
		}
	}
	return nil
}

func (t *Table) pair(p yamlfile.Pair, file, dir string) error {
	name, err := p.Name()
	if err != nil {
		return fromYAML(err, file)
	}
	line, column := p.At()
	b := t.find(name)
	if b == nil {
		return &Error{File: file, Line: line, Column: column, Kind: ErrKey, Detail: fmt.Sprintf("%.60q", name), Remedy: t.suggest(name)}
	}
	if first := t.set[name]; first > 0 {
		return &Error{File: file, Line: line, Column: column, Key: name, Kind: ErrTwice, Detail: fmt.Sprintf("line %d has it already", first), Remedy: "remove one of the two"}
	}
	t.set[name] = line
	if b.nested != nil {
		return b.nested(p, file, dir)
	}
	entries, plain, err := p.Entries()
	if err != nil {
		e := fromYAML(err, file)
		e.Key = name
		return e
	}
	if err := b.set(dir, entries, plain); err != nil {
		line, column := p.ValueAt()
		return &Error{File: file, Line: line, Column: column, Key: name, Kind: ErrValue, Err: err, Remedy: "it takes " + b.Values}
	}
	return nil
}

func (t *Table) find(name string) *Binding {
	for i := range t.bindings {
		if t.bindings[i].Name == name {
			return &t.bindings[i]
		}
	}
	return nil
}

func (t *Table) suggest(name string) string {
	near := yamlfile.Nearest(name, func(yield func(string) bool) {
		for _, b := range t.bindings {
			if !yield(b.Name) {
				return
			}
		}
	})
	if near == "" {
		return fmt.Sprintf("remove it; %s serve --print-config lists all keys", t.program)
	}
	return fmt.Sprintf("did you mean %s?", near)
}

func fromYAML(err error, file string) *Error {
	var e *yamlfile.Error
	if !errors.As(err, &e) {
		return &Error{File: file, Kind: ErrSyntax, Err: err}
	}
	kind := ErrSyntax
	if e.Kind == yamlfile.ErrValue {
		kind = ErrValue
	}
	return &Error{File: file, Line: e.Line, Column: e.Column, Kind: kind, Detail: e.Detail, Remedy: e.Remedy}
}

// Print writes all keys with their meaning and current values, as a file that
// Load reads. Keys without a value are commented out.
func (t *Table) Print(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Configuration of %s. Relative paths count from this file's directory.\n", t.program)
	for _, k := range t.bindings {
		fmt.Fprintf(&b, "\n# %s.\n# Values: %s.", k.Meaning, k.Values)
		if k.Default != "" {
			fmt.Fprintf(&b, " Default: %s.", k.Default)
		}
		b.WriteByte('\n')
		if k.print != nil {
			k.print(&b)
		} else {
			k.write(&b, "", "")
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// write writes a key with its value behind an indent; one without a value is
// commented out, or is given none where that is not "".
func (b *Binding) write(w io.Writer, indent, none string) {
	entries, plain := b.show()
	switch {
	case len(entries) == 0 && none == "":
		fmt.Fprintf(w, "%s#%s:\n", indent, b.Name)
	case len(entries) == 0:
		fmt.Fprintf(w, "%s%s: %s\n", indent, b.Name, none)
	case plain:
		fmt.Fprintf(w, "%s%s: %s\n", indent, b.Name, yamlfile.Quote(entries[0].Value))
	default:
		fmt.Fprintf(w, "%s%s:\n", indent, b.Name)
		for _, e := range entries {
			fmt.Fprintf(w, "%s  - %s\n", indent, yamlfile.Quote(e.Value))
		}
	}
}
