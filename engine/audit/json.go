package audit

import (
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

// toObject reads an object out of text that was checked before.
func toObject(text []byte) (object, error) {
	var o object
	if err := json.Unmarshal(text, &o); err != nil || o == nil {
		return nil, errors.New("it is no JSON object")
	}
	return o, nil
}

// checkJSON holds text to what encoding/json leaves open: UTF-8, no name twice
// in an object, and a bound on depth.
func checkJSON(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("it is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	var open []map[string]bool // the names of each open object; nil for an array
	wantName := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if len(open) == maxDepth {
				return fmt.Errorf("it is nested deeper than %d", maxDepth)
			}
			open = append(open, nil)
			if wantName = text[i] == '{'; wantName {
				open[len(open)-1] = map[string]bool{}
			}
		case '}', ']':
			open, wantName = open[:len(open)-1], false
		case ',':
			wantName = open[len(open)-1] != nil
		case '"':
			end := stringEnd(text, i)
			if wantName {
				var name string
				if err := json.Unmarshal(text[i:end], &name); err != nil {
					return err
				}
				if names := open[len(open)-1]; names[name] {
					return fmt.Errorf("member %.40q is there twice", name)
				} else {
					names[name] = true
				}
				wantName = false
			}
			i = end - 1
		}
	}
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
		if err := json.Unmarshal(o[name], &digits); err != nil {
			return 0, err
		}
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
	var s string
	if err := json.Unmarshal(o[name], &s); err != nil {
		return nil, fmt.Errorf("%s is no string", name)
	}
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
	plain := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(*s), "=")
	b, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil {
		return nil, fmt.Errorf("%s is not base64", name)
	}
	return b, nil
}

// list reads a member that is an array.
func (o object) list(name string, max int) ([]json.RawMessage, error) {
	var items []json.RawMessage
	if !o.has(name) {
		return nil, nil
	}
	if err := json.Unmarshal(o[name], &items); err != nil {
		return nil, fmt.Errorf("%s is no array", name)
	}
	if len(items) > max {
		return nil, fmt.Errorf("%s has %d items, the limit is %d", name, len(items), max)
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
		var s string
		if err := json.Unmarshal(item, &s); err != nil {
			return nil, fmt.Errorf("%s holds something else than text", name)
		}
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil || len(b) != tlog.HashSize || len(s) != base64.StdEncoding.EncodedLen(tlog.HashSize) {
			return nil, fmt.Errorf("%s: %.50q is no hash", name, s)
		}
		out[i] = Hash(b)
	}
	return out, nil
}
