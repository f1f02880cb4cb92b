package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/config"
)

type settings struct {
	URL, Admit, State, Key string
	Anchors, Hosts         []string
	N                      int
	On                     bool
	For                    time.Duration
}

func defaults() *settings {
	return &settings{Admit: "list", N: 10, For: 36 * time.Hour, Hosts: []string{"a: b", "c"}}
}

func table(c *settings) *config.Table {
	return config.NewTable("registrar",
		config.Text(&c.URL, config.Key{Name: "url", Values: "https://HOST:PORT", Default: "required", Meaning: "where this registrar is found"}, func(s string) error {
			if !strings.HasPrefix(s, "https://") {
				return errors.New("no https")
			}
			return nil
		}),
		config.Of(&c.Admit, config.Key{Name: "admit", Values: "list, ask or manufacturer", Default: "list", Meaning: "which devices are admitted"}, config.OneOf("list", "ask", "manufacturer")),
		config.Path(&c.State, config.Key{Name: "state", Values: "DIR", Meaning: "where the state is kept"}),
		config.URIOrPath(&c.Key, config.Key{Name: "key", Values: "FILE or pkcs11:URI", Meaning: "the key"}, func(s string) bool { return strings.HasPrefix(s, "pkcs11:") }),
		config.Paths(&c.Anchors, config.Key{Name: "anchors", Values: "FILE, or a list of them", Meaning: "who is believed"}),
		config.List(&c.Hosts, config.Key{Name: "masa-hosts", Values: "a list of hosts", Meaning: "hosts that may be called"}, nil),
		config.Int(&c.N, config.Key{Name: "enrol-a-day", Values: "1 to 100", Default: "10", Meaning: "how often"}, 1, 100),
		config.Bool(&c.On, config.Key{Name: "warn", Values: "true or false", Default: "false", Meaning: "warn"}),
		config.Duration(&c.For, config.Key{Name: "lifetime", Values: "DURATION", Default: "36h", Meaning: "how long"}, time.Second, 1000*time.Hour))
}

func Example() {
	c := settings{Admit: "list"}
	t := config.NewTable("registrar",
		config.Of(&c.Admit, config.Key{Name: "admit", Values: "list, ask or manufacturer", Default: "list", Meaning: "which devices are admitted"}, config.OneOf("list", "ask", "manufacturer")))
	fmt.Println(t.Parse([]byte("admti: ask\n"), "registrar.yaml", "/etc/registrar"))
	fmt.Println(t.Print(os.Stdout))
	// Output:
	// registrar.yaml, line 1: unknown key: "admti"; did you mean admit?
	// # Configuration of registrar. Relative paths count from this file's directory.
	//
	// # which devices are admitted.
	// # Values: list, ask or manufacturer. Default: list.
	// admit: list
	// <nil>
}

func TestEveryKeySetsItsField(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "registrar.yaml")
	text := "url: https://r:8443\nadmit: ask\nstate: ./state\nkey: keys/r.key\nanchors:\n  - a.pem\n  - /abs/b.pem\nmasa-hosts: localhost\nenrol-a-day: 7\nwarn: true\nlifetime: 2d\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := defaults()
	tab := table(c)
	if err := tab.Load(file); err != nil {
		t.Fatal(err)
	}
	want := &settings{URL: "https://r:8443", Admit: "ask", State: filepath.Join(dir, "state"), Key: filepath.Join(dir, "keys/r.key"),
		Anchors: []string{filepath.Join(dir, "a.pem"), "/abs/b.pem"}, Hosts: []string{"localhost"}, N: 7, On: true, For: 48 * time.Hour}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, want %+v", c, want)
	}
	if !tab.IsSet("admit") || tab.IsSet("none") || len(tab.Keys()) != 9 {
		t.Error("which keys are set is not known")
	}
}

// TestWhatIsPrintedLoads: defaults and a loaded file alike, to the same settings.
func TestWhatIsPrintedLoads(t *testing.T) {
	for _, text := range []string{"url: https://r\n", "url: https://r\nstate: s t#a:te\nkey: pkcs11:token=x;object=y\nanchors: [\"a, b.pem\", c.pem]\nmasa-hosts: []\nlifetime: 90m\n"} {
		first := defaults()
		tab := table(first)
		if err := tab.Parse([]byte(text), "f", "/dir"); err != nil {
			t.Fatal(err)
		}
		var printed bytes.Buffer
		if err := tab.Print(&printed); err != nil {
			t.Fatal(err)
		}
		again := defaults()
		if len(first.Hosts) == 0 {
			again.Hosts = nil // an empty list is commented out
		}
		if err := table(again).Parse(printed.Bytes(), "printed", "/dir"); err != nil {
			t.Fatalf("%v:\n%s", err, &printed)
		}
		if !reflect.DeepEqual(first, again) {
			t.Errorf("%+v, want %+v", again, first)
		}
		for _, k := range tab.Keys() {
			if !strings.Contains(printed.String(), k.Name+":") || !strings.Contains(printed.String(), k.Meaning) {
				t.Errorf("%s is not printed", k.Name)
			}
		}
	}
}

func TestMistakesAreRefusedWithTheirLine(t *testing.T) {
	for _, tc := range []struct {
		text string
		kind error
		line int
		says string
	}{
		{"url: https://r\nadmitt: ask\n", config.ErrKey, 2, "did you mean admit?"},
		{"qqqqqqqqqq: 1\n", config.ErrKey, 1, "--print-config"},
		{"url: https://r\nurl: https://s\n", config.ErrTwice, 2, "line 1"},
		{"url: http://r\n", config.ErrValue, 1, "https://HOST:PORT"},
		{"url: [a, b]\n", config.ErrValue, 1, "several"},
		{"url: https://r\nstate: [a]\n", config.ErrValue, 2, "several"},
		{"url: https://r\nadmit: all\n", config.ErrValue, 2, "none of list, ask, manufacturer"},
		{"url: https://r\nenrol-a-day: 0\n", config.ErrValue, 2, "1 to 100"},
		{"url: https://r\nenrol-a-day: ten\n", config.ErrValue, 2, "1 to 100"},
		{"url: https://r\nwarn: yes\n", config.ErrValue, 2, "true"},
		{"url: https://r\nlifetime: 2000h\n", config.ErrValue, 2, "1s"},
		{"url: https://r\nlifetime: soon\n", config.ErrValue, 2, "DURATION"},
		{"url: https://r\nmasa-hosts:\n  a: b\n", config.ErrValue, 0, "list"},
		{"url: https://r\nmasa-hosts: ['']\n", config.ErrValue, 2, "empty"},
		{"url: https://r\nstate: ''\n", config.ErrValue, 2, "file"},
		{"url: https://r\nanchors: [\"\"]\n", config.ErrValue, 2, "empty"},
		{"url:\n", config.ErrValue, 1, "no value"},
		{"admit: ask\n", config.ErrMissing, 0, "where this registrar is found"},
		{"- a\n", config.ErrSyntax, 0, "mapping"},
		{"url: &a b\n", config.ErrSyntax, 1, "anchors"},
		{strings.Repeat(" ", config.MaxBytes+1), config.ErrSyntax, 0, "octets"},
	} {
		err := table(defaults()).Parse([]byte(tc.text), "r.yaml", "/dir")
		e, ok := errors.AsType[*config.Error](err)
		if !ok || !errors.Is(err, tc.kind) || tc.line != 0 && e.Line != tc.line || !strings.Contains(err.Error(), tc.says) || !strings.HasPrefix(err.Error(), "r.yaml") {
			t.Errorf("%.40q: %v; want %v, line %d, %q", tc.text, err, tc.kind, tc.line, tc.says)
		}
	}
	if err := table(defaults()).Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestADefaultPathCountsFromTheFile(t *testing.T) {
	c := defaults()
	c.State = "state"
	tab := table(c)
	if err := tab.Parse([]byte("url: https://r\n"), "f", "/dir"); err != nil || c.State != "/dir/state" {
		t.Errorf("%q, %v", c.State, err)
	}
	var printed bytes.Buffer
	if err := tab.Print(&printed); err != nil || !strings.Contains(printed.String(), "\nstate: state\n") {
		t.Errorf("%v\n%s", err, &printed)
	}
}

func TestDurationsAreShownAsTheyAreRead(t *testing.T) {
	for d, want := range map[time.Duration]string{48 * time.Hour: "2d", 90 * time.Minute: "90m", 90 * time.Second: "90s", 20 * 365 * 24 * time.Hour: "7300d", 1500 * time.Millisecond: "1.5s"} {
		if got := config.ShowDuration(d); got != want {
			t.Errorf("%v is shown as %s, want %s", d, got, want)
		}
	}
}

// A part is what may be set for one name.
type part struct {
	name  string
	On    bool
	Hosts []string
}

func partTable(parts *[]*part) *config.Table {
	var sections []config.Section
	return config.NewTable("registrar", config.Sections(config.Key{Name: "parts", Values: "names, or a mapping of them", Meaning: "what there is"}, func(name string) (*config.Table, error) {
		if strings.HasPrefix(name, "-") {
			return nil, errors.New("a hyphen in front")
		}
		p := &part{name: name, Hosts: []string{"default"}}
		t := config.NewTable("registrar", config.Bool(&p.On, config.Key{Name: "warn"}), config.List(&p.Hosts, config.Key{Name: "masa-hosts"}, nil))
		*parts, sections = append(*parts, p), append(sections, config.Section{Name: name, Table: t})
		return t, nil
	}, func() []config.Section { return sections }))
}

func TestSectionsAreListsOrMappings(t *testing.T) {
	for text, want := range map[string][]*part{
		"parts: [b, a]\n": {{"b", false, []string{"default"}}, {"a", false, []string{"default"}}},
		"parts: only\n":   {{"only", false, []string{"default"}}},
		"parts:\n  b:\n    warn: true\n  a: {masa-hosts: []}\n  c:\n  'd e': {masa-hosts: [x, 'y: z'], warn: false}\n": {
			{"b", true, []string{"default"}}, {"a", false, nil}, {"c", false, []string{"default"}}, {"d e", false, []string{"x", "y: z"}}},
	} {
		for round := range 2 { // the second time what the first printed
			var got []*part
			tab := partTable(&got)
			if err := tab.Parse([]byte(text), "f", "/dir"); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("round %d of %q: %+v, %v", round, text, got, err)
			}
			var printed bytes.Buffer
			if err := tab.Print(&printed); err != nil {
				t.Fatal(err)
			}
			text = printed.String()
		}
	}
	var printed bytes.Buffer
	if err := partTable(new([]*part)).Print(&printed); err != nil || !strings.Contains(printed.String(), "\n#parts:\n") {
		t.Errorf("none: %v\n%s", err, &printed)
	}
}

func TestMistakesInSectionsAreRefusedWithTheirPlace(t *testing.T) {
	for text, says := range map[string]string{
		"parts:\n  a:\n    warm: true\n":           `r.yaml, line 3, parts, a: unknown key: "warm"; did you mean warn?`,
		"parts:\n  a:\n    warn: on\n":             "r.yaml, line 3, parts, a, warn: unusable value",
		"parts:\n  a:\n    warn:\n":                "line 3, parts, a, warn: unusable value: it has no value",
		"parts:\n  a: true\n":                      "line 2, parts: unusable value: a is neither empty nor a mapping of keys",
		"parts:\n  a:\n  b:\n  a:\n":               `line 4, parts: set twice: "a"`,
		"parts: [a, a]\n":                          `parts: set twice: "a"`,
		"parts:\n  -x: {}\n":                       "line 2, parts: unusable value: a hyphen in front",
		"parts:\n  - a: {warn: true}\n":            "parts: unusable value",
		"parts:\n  - a: b\n":                       "a list of mappings",
		"parts:\n":                                 "no value",
		"parts: ['']\n":                            "an empty name",
		"parts:\n  a:\n    warn:\n      deep: 1\n": "line 4, parts, a, warn",
	} {
		err := partTable(new([]*part)).Parse([]byte(text), "r.yaml", "/dir")
		e, ok := errors.AsType[*config.Error](err)
		if !ok || e.Line == 0 || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v; want %q", text, err, says)
		}
	}
}
