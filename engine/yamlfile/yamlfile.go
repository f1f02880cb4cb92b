package yamlfile

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// MaxBytes bounds a text, in octets.
	MaxBytes = 64 << 10
	// MaxDepth bounds how deep a text nests; settings need two levels.
	MaxDepth = 8
)

// A Pair is one key with its value, not looked at yet.
type Pair struct {
	key   ast.MapKeyNode
	value ast.Node
}

// An Entry is one item of a sequence or mapping; Name is "" in a sequence.
type Entry struct{ Name, Value string }

// Parse reads a text of settings. An empty one has no pairs. The error is an
// [*Error].
func Parse(text []byte) ([]Pair, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	doc, err := parseYAML(text)
	if err != nil || doc == nil {
		return nil, err
	}
	var nodes []*ast.MappingValueNode
	switch body := doc.(type) {
	case *ast.MappingNode:
		nodes = body.Values
	case *ast.MappingValueNode:
		nodes = []*ast.MappingValueNode{body}
	case *ast.NullNode, *ast.CommentGroupNode:
	default:
		return nil, at(doc, &Error{Kind: ErrSyntax, Detail: "it is not a mapping", Remedy: "write one key: value a line"})
	}
	pairs := make([]Pair, len(nodes))
	for i, n := range nodes {
		pairs[i] = Pair{n.Key, n.Value}
	}
	return pairs, nil
}

// Name returns the key. The error is an [*Error].
func (p Pair) Name() (string, error) { return scalar(p.key) }

// At returns the place of the key, 1-based.
func (p Pair) At() (line, column int) { return place(p.key) }

// ValueAt returns the place of the value, 1-based.
func (p Pair) ValueAt() (line, column int) { return place(p.value) }

// Entries returns the value: one Entry without a name and plain true for a plain
// value, else the items of the sequence or the mapping. Items of a sequence may
// be mappings themselves, whose pairs then follow each other. The error is an
// [*Error].
func (p Pair) Entries() (entries []Entry, plain bool, err error) {
	switch v := p.value.(type) {
	case *ast.SequenceNode:
		for _, item := range v.Values {
			more, err := items(item)
			if err != nil {
				return nil, false, err
			}
			entries = append(entries, more...)
		}
		return entries, false, nil
	case *ast.MappingNode, *ast.MappingValueNode:
		entries, err = items(p.value)
		return entries, false, err
	}
	text, err := scalar(p.value)
	return []Entry{{Value: text}}, true, err
}

// Pairs returns the pairs of a value that is a mapping, none of which is looked
// at yet; mapping is false for any other value.
func (p Pair) Pairs() (pairs []Pair, mapping bool) {
	var nodes []*ast.MappingValueNode
	switch v := p.value.(type) {
	case *ast.MappingNode:
		nodes = v.Values
	case *ast.MappingValueNode:
		nodes = []*ast.MappingValueNode{v}
	default:
		return nil, false
	}
	for _, n := range nodes {
		pairs = append(pairs, Pair{n.Key, n.Value})
	}
	return pairs, true
}

// Empty reports whether there is no value.
func (p Pair) Empty() bool {
	_, null := p.value.(*ast.NullNode)
	return null || p.value == nil
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
			return nil, at(doc.Body, &Error{Kind: ErrSyntax, Detail: "a second document", Remedy: "keep each in a file of its own"})
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

func place(n ast.Node) (line, column int) {
	if n == nil {
		return 0, 0
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 0, 0
}

// at gives an error the place of a node.
func at(n ast.Node, e *Error) *Error {
	e.Line, e.Column = place(n)
	return e
}

// items reads a scalar, or the pairs of a mapping, as entries.
func items(n ast.Node) ([]Entry, error) {
	var pairs []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.MappingNode:
		pairs = v.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{v}
	default:
		text, err := scalar(n)
		return []Entry{{Value: text}}, err
	}
	var entries []Entry
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
		entries = append(entries, Entry{name, value})
	}
	return entries, nil
}

// scalar is the text of a plain value, as written.
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

// maxName is the longest unknown name a suggestion is looked for, in octets.
const maxName = 64

// Nearest returns the known name that an unknown one is likeliest to have
// meant; "" when none is near.
func Nearest(name string, known iter.Seq[string]) string {
	if len(name) > maxName {
		return ""
	}
	nearest, best := "", max(2, len(name)/3)+1
	for k := range known {
		if d := distance(name, k); d < best {
			best, nearest = d, k
		}
	}
	return nearest
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

// Quote returns a value as it is written into a file that [Parse] reads: plain
// where that is safe, else in double quotes.
func Quote(value string) string {
	if plainSafe(value) {
		return value
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// plainSafe: what no YAML reader takes for anything but this text, or for a
// number or a boolean of this text.
func plainSafe(value string) bool {
	switch strings.ToLower(value) {
	case "", "null", "~", "-", ".":
		return false
	}
	for i := range len(value) {
		c := value[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '/', c == '.', c == '_':
		case i > 0 && (c == '-' || c == '+' || c == '=' || c == '@' || c == '%' || c == ';'):
		case c == ':' && i > 0 && i+1 < len(value):
		default:
			return false
		}
	}
	return true
}
