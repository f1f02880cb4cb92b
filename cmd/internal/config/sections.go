package config

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vouchmill/vouchmill/engine/yamlfile"
)

// A Section is a name with settings of its own.
type Section struct {
	Name  string
	Table *Table
}

// Sections binds a key to names that may have settings of their own: a list of
// names in the file, or a mapping of each name to keys. add is called with each
// name that is set, in the order of the file, and returns the table of its keys,
// whose fields hold what is the default there; all returns the sections there
// are.
func Sections(k Key, add func(name string) (*Table, error), all func() []Section) Binding {
	s := &sections{k.Name, add, all}
	return Binding{Key: k, nested: s.read, print: s.print}
}

type sections struct {
	key     string
	section func(name string) (*Table, error)
	all     func() []Section
}

func (s *sections) read(p yamlfile.Pair, file, dir string) error {
	pairs, mapping := p.Pairs()
	if mapping {
		for _, pair := range pairs {
			if err := s.readPair(pair, file, dir); err != nil {
				return err
			}
		}
		return nil
	}
	line, column := p.ValueAt()
	entries, _, err := p.Entries()
	if err != nil {
		return s.within(fromYAML(err, file), file, line, column)
	}
	for _, e := range entries {
		if e.Name != "" {
			err = errors.New("a list of mappings; write one mapping of names")
		} else {
			err = s.add(e.Value, nil, file, dir)
		}
		if err != nil {
			return s.within(err, file, line, column)
		}
	}
	return nil
}

// readPair reads a name and its keys. One without keys may have no value.
func (s *sections) readPair(p yamlfile.Pair, file, dir string) error {
	name, err := p.Name()
	if err != nil {
		return fromYAML(err, file)
	}
	line, column := p.At()
	pairs, mapping := p.Pairs()
	if !mapping && !p.Empty() {
		err = fmt.Errorf("%.60s is neither empty nor a mapping of keys", name)
	} else {
		err = s.add(name, pairs, file, dir)
	}
	if err != nil {
		return s.within(err, file, line, column)
	}
	return nil
}

func (s *sections) add(name string, pairs []yamlfile.Pair, file, dir string) error {
	if name == "" {
		return errors.New("an empty name")
	}
	if slices.ContainsFunc(s.all(), func(x Section) bool { return x.Name == name }) {
		return &Error{File: file, Kind: ErrTwice, Detail: fmt.Sprintf("%.60q", name), Remedy: "remove one of the two"}
	}
	t, err := s.section(name)
	if err != nil {
		return err
	}
	err = t.read(pairs, file, dir)
	if e := (*Error)(nil); errors.As(err, &e) {
		e.Key = strings.TrimSuffix(name+", "+e.Key, ", ")
	}
	return err
}

// within gives an error its place: this key, and where the error has no line
// itself, the one given.
func (s *sections) within(err error, file string, line, column int) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return &Error{File: file, Line: line, Column: column, Key: s.key, Kind: ErrValue, Err: err}
	}
	if e.Line == 0 {
		e.Line, e.Column = line, column
	}
	e.Key = strings.TrimSuffix(s.key+", "+e.Key, ", ")
	return e
}

// print writes the names as a list where none has settings of its own, else as a
// mapping with what each sets.
func (s *sections) print(w io.Writer) {
	all := s.all()
	plain := !slices.ContainsFunc(all, func(x Section) bool { return len(x.Table.set) > 0 })
	switch {
	case len(all) == 0:
		fmt.Fprintf(w, "#%s:\n", s.key)
		return
	case plain:
		fmt.Fprintf(w, "%s:\n", s.key)
		for _, x := range all {
			fmt.Fprintf(w, "  - %s\n", yamlfile.Quote(x.Name))
		}
		return
	}
	fmt.Fprintf(w, "%s:\n", s.key)
	for _, x := range all {
		if len(x.Table.set) == 0 {
			fmt.Fprintf(w, "  %s: {}\n", yamlfile.Quote(x.Name))
			continue
		}
		fmt.Fprintf(w, "  %s:\n", yamlfile.Quote(x.Name))
		for _, b := range x.Table.bindings {
			if x.Table.IsSet(b.Name) {
				b.write(w, "    ", "[]")
			}
		}
	}
}
