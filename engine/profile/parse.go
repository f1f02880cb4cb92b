package profile

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// MaxBytes bounds a profile, in octets.
	MaxBytes = 64 << 10
	// MaxDepth bounds how deep its text nests; profiles need two levels.
	MaxDepth = 8
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
	if err := checkText(text); err != nil {
		return err
	}
	doc, err := parseYAML(text)
	if err != nil || doc == nil {
		return err
	}
	var pairs []*ast.MappingValueNode
	switch body := doc.(type) {
	case *ast.MappingNode:
		pairs = body.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{body}
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil
	default:
		return at(doc, &Error{Kind: ErrSyntax, Detail: "it is not a mapping", Remedy: "write one key: value a line"})
	}
	for _, pair := range pairs {
		if err := p.pair(pair); err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses what a parser should not see: the YAML parser recurses, so
// nesting is bounded before it.
func checkText(text []byte) error {
	if len(text) > MaxBytes {
		return &Error{Kind: ErrTooLarge, Detail: fmt.Sprintf("%d octets, the limit is %d", len(text), MaxBytes)}
	}
	if !utf8.Valid(text) {
		return &Error{Kind: ErrSyntax, Detail: "it is not UTF-8"}
	}
	depth, line, indicators := 0, 1, 0
	for i, c := range text {
		switch c {
		case '\n':
			line++
			indicators = 0
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '-', '?', ':':
			if i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\t') {
				indicators++
			}
		}
		if depth > MaxDepth || indicators > 4*MaxDepth {
			return &Error{Line: line, Kind: ErrTooLarge, Detail: fmt.Sprintf("it nests over %d deep", MaxDepth)}
		}
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' {
			return &Error{Line: line, Kind: ErrSyntax, Detail: fmt.Sprintf("it has the control character U+%04X", c)}
		}
	}
	return nil
}

// parseYAML returns the one document's body, nil for none. What the parser
// panics at is as malformed as what it refuses.
func parseYAML(text []byte) (body ast.Node, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			body, err = nil, &Error{Kind: ErrSyntax, Detail: fmt.Sprint("the YAML is not understood: ", cause)}
		}
	}()
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, at(doc.Body, &Error{Kind: ErrSyntax, Detail: "a second document", Remedy: "keep each profile in a file of its own"})
		}
		body = doc.Body
	}
	return body, nil
}

// syntaxError keeps the place and the first line of what the parser says; the
// rest is an excerpt of the file.
func syntaxError(err error) error {
	e := &Error{Kind: ErrSyntax}
	var placed interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &placed) {
		e.Detail, _, _ = strings.Cut(err.Error(), "\n")
		return e
	}
	e.Detail = placed.GetMessage()
	if t := placed.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

// at gives an error the place of a node.
func at(n ast.Node, e *Error) *Error {
	if t := n.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

// pair reads one key and its value.
func (p *reader) pair(pair *ast.MappingValueNode) error {
	name, err := scalar(pair.Key)
	if err != nil {
		return err
	}
	k := keyByName(name)
	if k == nil {
		return at(pair.Key, unknownKey(name))
	}
	line := at(pair.Key, &Error{}).Line
	if first, twice := p.seen[name]; twice {
		return at(pair.Key, &Error{Key: name, Kind: ErrTwice, Detail: fmt.Sprintf("line %d has it already", first), Remedy: "remove one of the two"})
	}
	p.seen[name] = line
	if err := p.value(k, pair.Value); err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = at(pair.Value, valueError(k, err))
		}
		e.Key = name
		return e
	}
	k.mark(&p.settings, line)
	return nil
}

func (p *reader) value(k *key, n ast.Node) error {
	var entries []entry
	switch v := n.(type) {
	case *ast.SequenceNode:
		for _, item := range v.Values {
			more, err := items(item)
			if err != nil {
				return err
			}
			entries = append(entries, more...)
		}
	case *ast.MappingNode, *ast.MappingValueNode:
		var err error
		if entries, err = items(n); err != nil {
			return err
		}
	default:
		text, err := scalar(n)
		if err != nil {
			return err
		}
		if k.list != nil { // commas separate on the command line only
			return k.list(&p.settings, []entry{{value: text}})
		}
		return k.text(&p.settings, text)
	}
	if k.list == nil {
		return at(n, &Error{Kind: ErrValue, Detail: "several values where one belongs", Remedy: "it takes " + k.Values})
	}
	return k.list(&p.settings, entries)
}

// items reads a scalar, or the pairs of a mapping, as entries.
func items(n ast.Node) ([]entry, error) {
	var pairs []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.MappingNode:
		pairs = v.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{v}
	default:
		text, err := scalar(n)
		return []entry{{value: text}}, err
	}
	var entries []entry
	for _, pair := range pairs {
		name, err := scalar(pair.Key)
		if err != nil {
			return nil, err
		}
		value, err := scalar(pair.Value)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return nil, at(pair.Key, &Error{Kind: ErrValue, Detail: "an empty name"})
		}
		entries = append(entries, entry{name, value})
	}
	return entries, nil
}

// scalar is the text of a plain value, as written: 007 stays 007, whatever
// YAML would make of it.
func scalar(n ast.Node) (string, error) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, nil
	case *ast.LiteralNode:
		return v.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", at(n, &Error{Kind: ErrValue, Detail: "it has no value", Remedy: "give it one or remove the key"})
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return "", at(n, &Error{Kind: ErrSyntax, Detail: "anchors, aliases, tags and merges are not taken", Remedy: "write the value itself"})
	case nil:
		return "", &Error{Kind: ErrValue, Detail: "it has no value"}
	}
	return "", at(n, &Error{Kind: ErrValue, Detail: "it nests where a plain value belongs"})
}

func valueError(k *key, err error) *Error {
	return &Error{Key: k.Name, Kind: ErrValue, Err: err, Remedy: "it takes " + k.Values}
}

// unknownKey names the nearest known key, when there is one near enough.
func unknownKey(name string) *Error {
	e := &Error{Kind: ErrKey, Detail: fmt.Sprintf("%.60q", name), Remedy: "remove it"}
	best := max(2, len(name)/3) + 1
	if len(name) > 64 {
		return e
	}
	for i := range keys {
		if d := distance(name, keys[i].Name); d < best {
			best, e.Remedy = d, fmt.Sprintf("did you mean %s?", keys[i].Name)
		}
	}
	return e
}

// distance is the Levenshtein distance, in octets.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
