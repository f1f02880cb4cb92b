package fuzz

import (
	"bytes"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/engine/run"
)

func FuzzProfile(f *testing.F) {
	seeds(f, "profiles")
	f.Fuzz(func(t *testing.T, text []byte) {
		var s *profile.Settings
		var err error
		frugal(t, 16*len(text), func() { s, err = profile.Parse(text, "profile") })
		if err != nil {
			if !isA[*profile.Error](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if len(text) > profile.MaxBytes {
			t.Fatalf("%d octets were accepted", len(text))
		}
		if err := s.Check(); err != nil && !isA[*profile.Error](err) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		var over profile.Settings
		over.Override(s)
		same(t, "the settings laid over nothing", &over, s)
	})
}

func FuzzSetting(f *testing.F) {
	for _, key := range profile.Keys() {
		f.Add(key.Name, key.Default)
		f.Add(key.Name, "a=b.pem,c=d.pem")
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		var s profile.Settings
		if err := s.Set(name, text); err != nil {
			if !isA[*profile.Error](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			same(t, "settings that could not be set", s, profile.Settings{})
		}
	})
}

// created is when the runs of these tests are made.
var created = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

func FuzzExpiry(f *testing.F) {
	for _, text := range []string{"never", "10y", "1y6w", "1.5d", "36h", "P10Y", "PT36H", "2031-12-31", "2031-12-31T23:59:59Z",
		"2031-12-31T23:59:60Z", "2031-12-31T23:59:59.5+02:00", "0001-01-01", "9999-12-31", "-1h", "1e9y", "292y", "293y", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := profile.ParseExpiry(text)
		if err == nil {
			again, err := profile.ParseExpiry(e.String())
			must(t, err)
			if again.String() != e.String() || !again.From(created).Equal(e.From(created)) {
				t.Fatalf("%q becomes %q and then %q", text, e, again)
			}
		}
		resolved, runErr := run.ResolveExpiry(text, created)
		if runErr != nil {
			return
		}
		again, runErr := run.ResolveExpiry(resolved, created)
		must(t, runErr)
		if again != resolved {
			t.Fatalf("%q resolves to %q and then to %q", text, resolved, again)
		}
		if resolved != run.Never {
			at, err := time.Parse(time.RFC3339, resolved)
			must(t, err)
			if !at.After(created) || at.Year() > 9999 {
				t.Fatalf("%q resolves to %v", text, at)
			}
		}
		// Two parsers, one meaning.
		if want := run.Never; err == nil {
			if !e.Never {
				want = run.FormatTime(e.From(created))
			}
			if resolved != want {
				t.Fatalf("%q is %q in a profile, %q in a run", text, want, resolved)
			}
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, text := range []string{"365d", "1y12h", "1.5d", "0s", "1h30m", "100ns", "1µs", ".5h", "1d1d", "9223372036s", "300y", "1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := profile.ParseDuration(text)
		if err != nil {
			return
		}
		if d < 0 {
			t.Fatalf("%q is %v", text, d)
		}
		if std, err := time.ParseDuration(text); err == nil && (std-d).Abs() > 1 { // fractions of units round apart
			t.Fatalf("%q is %v, package time says %v", text, d, std)
		}
		again, err := profile.ParseDuration(d.String())
		must(t, err)
		if again != d {
			t.Fatalf("%q is %v and then %v", text, d, again)
		}
	})
}

func FuzzHeader(f *testing.F) {
	seeds(f, "records")
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := run.ParseHeader(b)
		if err != nil {
			return
		}
		written, err := h.Marshal()
		must(t, err)
		back, err := run.ParseHeader(written)
		must(t, err)
		twice, err := back.Marshal()
		must(t, err)
		if !bytes.Equal(twice, written) {
			t.Fatalf("written once %s, then %s", written, twice)
		}
		if d := h.Differences(back, true); len(d) != 0 {
			t.Fatalf("a header differs from itself: %v", d)
		}
		if _, err := h.Created(); err != nil {
			t.Fatalf("accepted with an unusable created-on: %v", err)
		}
		compiles(t, h)
	})
}

// compiles makes whatever templates a header gives: it may refuse, not crash.
func compiles(t *testing.T, h *run.Header) {
	t.Helper()
	c, err := run.NewCompiler(h)
	if err != nil {
		return
	}
	template, err := c.Compile(&run.Variant{ExpiresOn: run.Never})
	if err != nil {
		return
	}
	maker, err := run.NewMaker(c.Algorithm())
	must(t, err)
	must(t, maker.Prepare([][]byte{[]byte("A1")}, []*run.Template{template}))
}

func FuzzVariant(f *testing.F) {
	seeds(f, "records")
	f.Add([]byte(`{"expires-on":"never"}`))
	f.Add([]byte(`{"pin":"a","idevid-issuer":"BBgwFoAUAAAAAAAAAAAAAAAAAAAAAAAAAAA=","include-issuer":true,"expires-on":"2031-12-31T23:59:59Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := run.ParseVariant(b)
		if err != nil {
			return
		}
		back, err := run.ParseVariant(v.Marshal())
		must(t, err)
		same(t, "the variant read again", back, v)
	})
}
