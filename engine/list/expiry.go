package list

import (
	"bytes"
	"fmt"
)

// checkExpiry looks at the shape of an expires-on value: "never", a date-time
// of RFC 3339 with its zone, a full date, or a duration in the manner of Go
// ("8760h", "365d") or of ISO 8601 ("P1Y"). What it says, and
// whether that is a day of the calendar, is for the caller to work out.
func checkExpiry(s []byte) error {
	if len(s) > 64 {
		return fmt.Errorf("%d octets, too long for a time", len(s))
	}
	switch {
	case string(s) == "never" || isDuration(s) || isISODuration(s):
		return nil
	case !fits(s, "0000-00-00"):
		return fmt.Errorf("%s is not a time", quoteShort(s))
	case len(s) == 10:
		return nil
	case len(s) < 19 || !fits(s[10:], "T00:00:00"):
		return fmt.Errorf("%s is not an RFC 3339 time", quoteShort(s))
	}
	rest := s[19:]
	if len(rest) > 0 && rest[0] == '.' {
		n := digits(rest[1:])
		if n == 0 {
			return fmt.Errorf("%s has a point without a fraction of a second", quoteShort(s))
		}
		rest = rest[1+n:]
	}
	switch {
	case string(rest) == "Z":
	case len(rest) == 6 && (fits(rest, "+00:00") || fits(rest, "-00:00")):
	case len(rest) == 0:
		return fmt.Errorf("%s has no time zone", quoteShort(s))
	default:
		return fmt.Errorf("%s ends in %q, which is not a time zone", quoteShort(s), rest)
	}
	return nil
}

// fits reports whether s begins in the shape of pattern, where 0 stands for any
// digit and all else for itself.
func fits(s []byte, pattern string) bool {
	if len(s) < len(pattern) {
		return false
	}
	for i := range len(pattern) {
		if c := pattern[i]; c == '0' && (s[i] < '0' || s[i] > '9') || c != '0' && s[i] != c {
			return false
		}
	}
	return true
}

// digits counts the decimal digits s begins with.
func digits(s []byte) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// isDuration reports whether s is one or more numbers, each with a unit of Go's
// time.ParseDuration or d, w, y.
func isDuration(s []byte) bool {
	if len(s) == 0 {
		return false
	}
	for len(s) > 0 {
		n := digits(s)
		if n == 0 {
			return false
		}
		if n < len(s) && s[n] == '.' {
			n += 1 + digits(s[n+1:])
		}
		s = s[n:]
		unit := ""
		for _, u := range [...]string{"ns", "us", "µs", "ms", "s", "m", "h", "d", "w", "y"} {
			if bytes.HasPrefix(s, []byte(u)) {
				unit = u
				break
			}
		}
		if unit == "" {
			return false
		}
		s = s[len(unit):]
	}
	return true
}

// isISODuration reports whether s has the shape of an ISO 8601 duration, such
// as P1Y or PT12H.
func isISODuration(s []byte) bool {
	if len(s) < 3 || s[0] != 'P' {
		return false
	}
	s = s[1:]
	for parts, timed := 0, false; ; parts++ {
		if len(s) > 0 && s[0] == 'T' && !timed {
			timed = true
			s = s[1:]
			if len(s) == 0 {
				return false
			}
		}
		if len(s) == 0 {
			return parts > 0
		}
		n := digits(s)
		if n == 0 || n == len(s) {
			return false
		}
		switch c := s[n]; {
		case !timed && (c == 'Y' || c == 'M' || c == 'W' || c == 'D'):
		case timed && (c == 'H' || c == 'M' || c == 'S'):
		default:
			return false
		}
		s = s[n+1:]
	}
}
