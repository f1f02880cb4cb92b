package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// maxDepth bounds the nesting of what is read, the outermost container is 1.
const maxDepth = 16

// An object is a JSON object with its members unread. Names count as they are
// written, unlike in encoding/json, and none is there twice.
type object map[string]json.RawMessage

// parseObject reads text that is one JSON object.
func parseObject(text []byte) (object, error) {
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	return toObject(text)
}

// toObject reads an object out of text that was checked before. Its members are
// views of text.
func toObject(text []byte) (object, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' {
		return nil, errors.New("it is no JSON object")
	}
	o := make(object, 8)
	split(text, func(name, value []byte) bool {
		o[unquoted(name)] = value
		return true
	})
	return o, nil
}

// split goes through the members of an object, or the items of an array, in text
// that was checked before and is nothing else. Names are as they are written, in
// quotes, and nil in an array.
func split(text []byte, f func(name, value []byte) bool) {
	named := text[0] == '{'
	between := func(i int) int {
		for bytes.IndexByte([]byte(" \t\r\n,:"), text[i]) >= 0 {
			i++
		}
		return i
	}
	for i := between(1); i < len(text)-1; i = between(i) {
		var name []byte
		if named {
			end := stringEnd(text, i)
			name, i = text[i:end], between(end)
		}
		end := valueEnd(text, i)
		if !f(name, text[i:end:end]) {
			return
		}
		i = end
	}
}

// valueEnd returns the offset behind the value that begins at i.
func valueEnd(text []byte, i int) int {
	for depth := 0; ; i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		default:
			if depth == 0 { // a number or a word
				for ; bytes.IndexByte([]byte(" \t\r\n,]}"), text[i]) < 0; i++ {
				}
				return i
			}
		}
		if depth == 0 {
			return i + 1
		}
	}
}

// unquoted is a string of text that was checked before.
func unquoted(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is a string
	return s
}

// checkJSON holds text to what encoding/json leaves open: UTF-8, no name twice
// in an object, and a bound on depth.
func checkJSON(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("it is not UTF-8")
	}
	if !json.Valid(text) {
		var whole json.RawMessage
		return fmt.Errorf("it is not JSON: %w", json.Unmarshal(text, &whole))
	}
	var names [maxDepth]map[string]bool // of each open object; kept for the next one as deep
	var object [maxDepth]bool
	depth, wantName := 0, false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if depth == maxDepth {
				return fmt.Errorf("it is nested deeper than %d", maxDepth)
			}
			wantName = text[i] == '{'
			object[depth] = wantName
			clear(names[depth])
			depth++
		case '}', ']':
			depth, wantName = depth-1, false
		case ',':
			wantName = object[depth-1]
		case '"':
			end := stringEnd(text, i)
			if wantName {
				if err := addName(&names[depth-1], unquoted(text[i:end])); err != nil {
					return err
				}
				wantName = false
			}
			i = end - 1
		}
	}
	return nil
}

func addName(names *map[string]bool, name string) error {
	if (*names)[name] {
		return fmt.Errorf("member %.40q is there twice", name)
	}
	if *names == nil {
		*names = make(map[string]bool, 8)
	}
	(*names)[name] = true
	return nil
}

// stringEnd returns the offset behind the string that begins at i.
func stringEnd(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// has reports whether a member is there and not null.
func (o object) has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// number reads a member that is a number or, as in the examples of RFC 8995, a
// string of decimal digits. A missing one is 0.
func (o object) number(name string) (uint64, error) {
	if !o.has(name) {
		return 0, nil
	}
	digits := string(o[name])
	if digits[0] == '"' {
		digits = unquoted(o[name])
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %.40q is no number from 0 on", name, digits)
	}
	return n, nil
}

// text reads a member that is a string; a missing one is nil.
func (o object) text(name string, max int) (*string, error) {
	if !o.has(name) {
		return nil, nil
	}
	if o[name][0] != '"' {
		return nil, fmt.Errorf("%s is no string", name)
	}
	s := unquoted(o[name])
	if len(s) > max {
		return nil, fmt.Errorf("%s has %d octets, the limit is %d", name, len(s), max)
	}
	return &s, nil
}

// octets reads a member that is base64, of either alphabet, padded or not.
func (o object) octets(name string, max int) ([]byte, error) {
	s, err := o.text(name, (max+2)/3*4)
	if err != nil || s == nil {
		return nil, err
	}
	plain := strings.TrimRight(*s, "=")
	if strings.ContainsAny(plain, "-_") { // the other alphabet, or both
		plain = strings.NewReplacer("-", "+", "_", "/").Replace(plain)
	}
	b, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil {
		return nil, fmt.Errorf("%s is not base64", name)
	}
	return b, nil
}

// list reads a member that is an array.
func (o object) list(name string, max int) ([]json.RawMessage, error) {
	if !o.has(name) {
		return nil, nil
	}
	if o[name][0] != '[' {
		return nil, fmt.Errorf("%s is no array", name)
	}
	items := []json.RawMessage{}
	split(o[name], func(_, item []byte) bool {
		items = append(items, item)
		return len(items) <= max
	})
	if len(items) > max {
		return nil, fmt.Errorf("%s has more than %d items, which is the limit", name, max)
	}
	return items, nil
}

// hashes reads a member that is an array of hashes, in the one form they have.
func (o object) hashes(name string) ([]Hash, error) {
	items, err := o.list(name, MaxPath)
	if err != nil {
		return nil, err
	}
	out := make([]Hash, len(items))
	for i, item := range items {
		if item[0] != '"' {
			return nil, fmt.Errorf("%s holds something else than text", name)
		}
		s := unquoted(item)
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil || len(b) != tlog.HashSize || len(s) != base64.StdEncoding.EncodedLen(tlog.HashSize) {
			return nil, fmt.Errorf("%s: %.50q is no hash", name, s)
		}
		out[i] = Hash(b)
	}
	return out, nil
}
