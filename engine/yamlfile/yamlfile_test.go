package yamlfile_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vouchmill/vouchmill/engine/yamlfile"
)

func Example() {
	pairs, err := yamlfile.Parse([]byte("url: https://masa.example:9443 # where it is\nidevid-ca: [a.pem, b.pem]\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range pairs {
		name, _ := p.Name()
		entries, plain, err := p.Entries()
		line, _ := p.At()
		fmt.Println(line, name, entries, plain, err)
	}
	fmt.Println(yamlfile.Nearest("idevidca", slices.Values([]string{"url", "idevid-ca"})))
	// Output:
	// 1 url [{ https://masa.example:9443}] true <nil>
	// 2 idevid-ca [{ a.pem} { b.pem}] false <nil>
	// idevid-ca
}

// first returns the first mistake of a text.
func first(text string) error {
	pairs, err := yamlfile.Parse([]byte(text))
	for _, p := range pairs {
		if err == nil {
			_, err = p.Name()
		}
		if err == nil {
			_, _, err = p.Entries()
		}
	}
	return err
}

func TestWhatIsNotPlainIsRefusedWithItsPlace(t *testing.T) {
	for _, tc := range []struct {
		text string
		kind error
		line int
	}{
		{"a: 1\nb: &x 2\n", yamlfile.ErrSyntax, 2}, {"a: *x\n", yamlfile.ErrSyntax, 0}, {"a: !!str 1\n", yamlfile.ErrSyntax, 0},
		{"- a\n", yamlfile.ErrSyntax, 0}, {"a: 1\n---\nb: 2\n", yamlfile.ErrSyntax, 0}, {"a: [\n", yamlfile.ErrSyntax, 0}, {"a: \xff\n", yamlfile.ErrSyntax, 0},
		{"a: 1\nb:\n", yamlfile.ErrValue, 2}, {"a:\n  b:\n    c: d\n", yamlfile.ErrValue, 0}, {"a: [[b]]\n", yamlfile.ErrValue, 1},
		{strings.Repeat("#", yamlfile.MaxBytes+1), yamlfile.ErrTooLarge, 0}, {"a: " + strings.Repeat("[", 20), yamlfile.ErrTooLarge, 1},
		{"a: b\x01\n", yamlfile.ErrSyntax, 1},
	} {
		err := first(tc.text)
		e, ok := errors.AsType[*yamlfile.Error](err)
		if !ok || !errors.Is(err, tc.kind) || tc.line != 0 && e.Line != tc.line {
			t.Errorf("%.30q: %v, want %v in line %d", tc.text, err, tc.kind, tc.line)
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "a: 007\n"} {
		if err := first(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMappingsAndNumbersStayText(t *testing.T) {
	pairs, err := yamlfile.Parse([]byte("m:\n  one: 007\n  two: true\nn: 1.50\n"))
	if err != nil {
		t.Fatal(err)
	}
	m, plain, err := pairs[0].Entries()
	if err != nil || plain || !slices.Equal(m, []yamlfile.Entry{{Name: "one", Value: "007"}, {Name: "two", Value: "true"}}) {
		t.Errorf("%v, %v, %v", m, plain, err)
	}
	if n, plain, err := pairs[1].Entries(); err != nil || !plain || n[0].Value != "1.50" {
		t.Errorf("%v, %v, %v", n, plain, err)
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "null", "~", "-", "a: b", "a:", ":a", "#", "a #b", "https://h:1/p", "C:\\x", "\"q\"", "ü", "\u2028", "-1", "true", "1e3", "'", "\n", " a ", "%x", "|", ">", "[a]", "{a}", "&a", "*a", "!a", "0x1F", "..", "%", "=", "<<"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || len(s) > 1000 || strings.ContainsRune(s, 0) {
			t.Skip()
		}
		for _, text := range []string{"k: " + yamlfile.Quote(s) + "\n", "k:\n  - " + yamlfile.Quote(s) + "\n", "k:\n  n: " + yamlfile.Quote(s) + "\n"} {
			pairs, err := yamlfile.Parse([]byte(text))
			if errors.Is(err, yamlfile.ErrTooLarge) {
				t.Skip()
			}
			if err != nil || len(pairs) != 1 {
				t.Fatalf("%q: %v", text, err)
			}
			if e, _, err := pairs[0].Entries(); err != nil || len(e) != 1 || e[0].Value != s {
				t.Fatalf("%q is read as %q, %v", text, e, err)
			}
		}
	})
}

func TestMappingsInMappings(t *testing.T) {
	pairs, err := yamlfile.Parse([]byte("plain: a\nlist: [a]\none: {a: 1}\nnone:\nempty: {}\ndeep:\n  a:\n    b: {c: d}\n  e:\n"))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, p := range pairs {
		name, err := p.Name()
		below, mapping := p.Pairs()
		said = append(said, fmt.Sprint(name, len(below), mapping, p.Empty(), err))
	}
	if want := "plain0 false false <nil>|list0 false false <nil>|one1 true false <nil>|none0 false true <nil>|empty0 true false <nil>|deep2 true false <nil>"; strings.Join(said, "|") != want {
		t.Errorf("%s\nwant %s", strings.Join(said, "|"), want)
	}
	deep, _ := pairs[5].Pairs()
	a, _ := deep[0].Pairs()
	entries, _, err := a[0].Entries()
	if err != nil || len(entries) != 1 || entries[0] != (yamlfile.Entry{Name: "c", Value: "d"}) || !deep[1].Empty() {
		t.Errorf("%v, %v", entries, err)
	}
	if line, _ := a[0].At(); line != 8 {
		t.Errorf("at line %d", line)
	}
}
