package config

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/engine/yamlfile"
)

// A Key describes one key of a configuration.
type Key struct {
	Name    string
	Values  string // what it takes
	Default string // what holds where it is unset; "required" makes Load demand it
	Meaning string
}

// required is the Default of a key that must be set.
const required = "required"

// A Binding is a Key and the field it sets.
type Binding struct {
	Key
	set  func(dir string, entries []yamlfile.Entry, plain bool) error
	show func() (entries []yamlfile.Entry, plain bool) // nothing where the field is empty
	// unset is called with the file's directory where the file does not set the
	// key, nil for nothing to be done then.
	unset func(dir string) error
	// nested and print stand for set and show where a value is more than entries.
	nested func(p yamlfile.Pair, file, dir string) error
	print  func(w io.Writer)
}

// Of binds a key to a field of one plain value. The field's value before Load is
// the default.
func Of[T any](field *T, k Key, parse func(string) (T, error)) Binding {
	return Binding{Key: k,
		set: func(_ string, entries []yamlfile.Entry, plain bool) error {
			if !plain {
				return errSeveral
			}
			v, err := parse(entries[0].Value)
			if err == nil {
				*field = v
			}
			return err
		},
		show: func() ([]yamlfile.Entry, bool) { return shown(fmt.Sprint(*field)) },
	}
}

var errSeveral = errors.New("several values where one belongs")

func shown(text string) ([]yamlfile.Entry, bool) {
	if text == "" {
		return nil, true
	}
	return []yamlfile.Entry{{Value: text}}, true
}

// Text binds a key to a text that check accepts, nil for any that is not empty.
func Text(field *string, k Key, check func(string) error) Binding {
	return Of(field, k, func(text string) (string, error) {
		if text == "" || strings.ContainsRune(text, 0) {
			return "", fmt.Errorf("%.40q is empty or holds a NUL", text)
		}
		if check != nil {
			return text, check(text)
		}
		return text, nil
	})
}

// OneOf takes one of a few names.
func OneOf(names ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if !slices.Contains(names, text) {
			return "", fmt.Errorf("%.40q is none of %s", text, strings.Join(names, ", "))
		}
		return text, nil
	}
}

// Int binds a key to a number from low to high. A default outside of that means
// that it is unset.
func Int(field *int, k Key, low, high int) Binding {
	b := Of(field, k, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%.40q is not a number from %d to %d", text, low, high)
		}
		return n, nil
	})
	b.show = func() ([]yamlfile.Entry, bool) {
		if *field < low || *field > high {
			return nil, true
		}
		return shown(strconv.Itoa(*field))
	}
	return b
}

// Bool binds a key to true or false.
func Bool(field *bool, k Key) Binding {
	return Of(field, k, func(text string) (bool, error) {
		if text != "true" && text != "false" {
			return false, fmt.Errorf("%.40q is neither true nor false", text)
		}
		return text == "true", nil
	})
}

// Duration binds a key to a duration from low to high, written as 90s, 12h or
// 365d: see profile.ParseDuration. It is shown in the largest unit that keeps it
// whole. A default outside of the bounds means that it is unset.
func Duration(field *time.Duration, k Key, low, high time.Duration) Binding {
	b := Of(field, k, func(text string) (time.Duration, error) {
		d, err := profile.ParseDuration(text)
		if err == nil && (d < low || d > high) {
			err = fmt.Errorf("%.40q is not from %s to %s", text, ShowDuration(low), ShowDuration(high))
		}
		return d, err
	})
	b.show = func() ([]yamlfile.Entry, bool) {
		if *field < low || *field > high {
			return nil, true
		}
		return shown(ShowDuration(*field))
	}
	return b
}

// ShowDuration writes a duration so that profile.ParseDuration reads it; whole
// days are days.
func ShowDuration(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= u.unit && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.name
		}
	}
	return d.String()
}

// Path binds a key to the name of a file or directory. A relative one, the
// default too, counts from the directory of the configuration file.
func Path(field *string, k Key) Binding {
	var written *string // as in the file
	return Binding{Key: k,
		set: func(dir string, entries []yamlfile.Entry, plain bool) error {
			if !plain {
				return errSeveral
			}
			path, err := resolve(dir, entries[0].Value)
			if err == nil {
				*field, written = path, &entries[0].Value
			}
			return err
		},
		show: func() ([]yamlfile.Entry, bool) {
			if written != nil {
				return shown(*written)
			}
			return shown(*field)
		},
		unset: func(dir string) (err error) {
			if *field == "" {
				return nil
			}
			def := *field
			written = &def
			*field, err = resolve(dir, def)
			return err
		},
	}
}

func resolve(dir, path string) (string, error) {
	if path == "" || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%.80q is not the name of a file", path)
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	return filepath.Join(dir, path), nil
}

// URIOrPath is Path for keys that may be on a token: what isURI takes stays as
// it is.
func URIOrPath(field *string, k Key, isURI func(string) bool) Binding {
	b := Path(field, k)
	set, uri := b.set, false
	b.set = func(dir string, entries []yamlfile.Entry, plain bool) error {
		if uri = plain && isURI(entries[0].Value); uri {
			*field = entries[0].Value
			return nil
		}
		return set(dir, entries, plain)
	}
	return b
}

// Paths binds a key to a list of files; one may be written without a list.
func Paths(field *[]string, k Key) Binding {
	b := List(field, k, nil)
	set, show := b.set, b.show
	var written []yamlfile.Entry
	b.set = func(dir string, entries []yamlfile.Entry, plain bool) error {
		if err := set(dir, entries, plain); err != nil {
			return err
		}
		for i, path := range *field {
			resolved, err := resolve(dir, path)
			if err != nil {
				return err
			}
			(*field)[i] = resolved
		}
		written = entries
		return nil
	}
	b.show = func() ([]yamlfile.Entry, bool) {
		if written != nil {
			return written, false
		}
		return show()
	}
	return b
}

// List binds a key to a list of texts, each as check accepts it (nil for any).
func List(field *[]string, k Key, check func(string) error) Binding {
	return Binding{Key: k,
		set: func(_ string, entries []yamlfile.Entry, _ bool) error {
			var values []string
			for _, e := range entries {
				if e.Name != "" {
					return errors.New("a mapping where a list belongs")
				}
				if e.Value == "" {
					return errors.New("an empty item")
				}
				if check != nil {
					if err := check(e.Value); err != nil {
						return err
					}
				}
				values = append(values, e.Value)
			}
			*field = values
			return nil
		},
		show: func() (entries []yamlfile.Entry, plain bool) {
			for _, v := range *field {
				entries = append(entries, yamlfile.Entry{Value: v})
			}
			return entries, false
		},
	}
}
