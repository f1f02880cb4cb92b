package profile

import (
	"errors"
	"fmt"

	"github.com/vouchmill/vouchmill/engine/yamlfile"
)

const (
	// MaxBytes bounds a profile, in octets.
	MaxBytes = yamlfile.MaxBytes
	// MaxDepth bounds how deep its text nests; profiles need two levels.
	MaxDepth = yamlfile.MaxDepth
)

// Parse reads a profile; file is what errors call it. An empty profile sets
// nothing. The error is an [*Error].
func Parse(text []byte, file string) (*Settings, error) {
	p := &reader{file: file, seen: map[string]int{}}
	if err := p.read(text); err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.File = file
		}
		return nil, err
	}
	return &p.settings, nil
}

type reader struct {
	file     string
	settings Settings
	seen     map[string]int // line of each key
}

func (p *reader) read(text []byte) error {
	pairs, err := yamlfile.Parse(text)
	if err != nil {
		return fromYAML(err)
	}
	for _, pair := range pairs {
		if err := p.pair(pair); err != nil {
			return err
		}
	}
	return nil
}

// fromYAML makes an Error of one of package yamlfile.
func fromYAML(err error) *Error {
	var e *yamlfile.Error
	if !errors.As(err, &e) {
		return &Error{Kind: ErrSyntax, Err: err}
	}
	kind := ErrSyntax
	switch e.Kind {
	case yamlfile.ErrTooLarge:
		kind = ErrTooLarge
	case yamlfile.ErrValue:
		kind = ErrValue
	}
	return &Error{Line: e.Line, Column: e.Column, Kind: kind, Detail: e.Detail, Remedy: e.Remedy}
}

// pair reads one key and its value.
func (p *reader) pair(pair yamlfile.Pair) error {
	name, err := pair.Name()
	if err != nil {
		return fromYAML(err)
	}
	line, column := pair.At()
	k := keyByName(name)
	if k == nil {
		e := unknownKey(name)
		e.Line, e.Column = line, column
		return e
	}
	if first, twice := p.seen[name]; twice {
		return &Error{Line: line, Column: column, Key: name, Kind: ErrTwice, Detail: fmt.Sprintf("line %d has it already", first), Remedy: "remove one of the two"}
	}
	p.seen[name] = line
	if err := p.value(k, pair); err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = valueError(k, err)
			e.Line, e.Column = pair.ValueAt()
		}
		e.Key = name
		return e
	}
	k.mark(&p.settings, line)
	return nil
}

func (p *reader) value(k *key, pair yamlfile.Pair) error {
	read, plain, err := pair.Entries()
	if err != nil {
		return fromYAML(err)
	}
	entries := make([]entry, len(read))
	for i, e := range read {
		entries[i] = entry{e.Name, e.Value}
	}
	switch {
	case k.list != nil: // commas separate on the command line only
		return k.list(&p.settings, entries)
	case !plain:
		e := &Error{Kind: ErrValue, Detail: "several values where one belongs", Remedy: "it takes " + k.Values}
		e.Line, e.Column = pair.ValueAt()
		return e
	}
	return k.text(&p.settings, entries[0].value)
}

func valueError(k *key, err error) *Error {
	return &Error{Key: k.Name, Kind: ErrValue, Err: err, Remedy: "it takes " + k.Values}
}

// unknownKey names the nearest known key, when there is one near enough.
func unknownKey(name string) *Error {
	e := &Error{Kind: ErrKey, Detail: fmt.Sprintf("%.60q", name), Remedy: "remove it"}
	near := yamlfile.Nearest(name, func(yield func(string) bool) {
		for i := range keys {
			if !yield(keys[i].Name) {
				return
			}
		}
	})
	if near != "" {
		e.Remedy = fmt.Sprintf("did you mean %s?", near)
	}
	return e
}
