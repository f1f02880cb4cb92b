package audit

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"
)

// FuzzObjects: an object is taken apart as encoding/json does it, and so are the
// objects and arrays inside.
func FuzzObjects(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { } `, `{"a":1}`, "\n{ \"a\" : [ ] , \"b\"\t: [1 , \"x\\\"]\" ,{ }, null] }", `{"a\u0062":"\ud800\\","":true,"c":-1.5e3}`,
		`{"a":{"a":{"b":["]}",[[]]]}}}`, `[1]`, `"a"`, `1`, ``, `{"a":1,"a":2}`, `{"a":1`, "{\"\xff\":1}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseObject(text)
		var want map[string]json.RawMessage
		wrong := json.Unmarshal(text, &want)
		if err != nil {
			return // it may be stricter
		}
		if wrong != nil || want == nil {
			t.Fatalf("%q was taken apart", text)
		}
		same(t, got, want)
	})
}

func same(t *testing.T, got, want map[string]json.RawMessage) {
	t.Helper()
	if !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		t.Fatalf("got %q, encoding/json %q", got, want)
	}
	for name, value := range got {
		var inner map[string]json.RawMessage
		if json.Unmarshal(value, &inner) == nil && inner != nil {
			o, err := toObject(value)
			if err != nil {
				t.Fatal(err)
			}
			same(t, o, inner)
		}
		var items []json.RawMessage
		if json.Unmarshal(value, &items) == nil && items != nil {
			list, err := object(got).list(name, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(list, items, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
				t.Fatalf("got %q, encoding/json %q", list, items)
			}
		}
		var s string
		if json.Unmarshal(value, &s) == nil && value[0] == '"' && unquoted(value) != s {
			t.Fatalf("got %q, encoding/json %q", unquoted(value), s)
		}
	}
}
