package run

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
	year = 365 * day
)

// ParseDuration reads a duration in Go's syntax with three units more: d of 24
// hours, w of 7 days and y of 365 days, as in "365d" or "1y12h".
func ParseDuration(s string) (time.Duration, error) {
	var total time.Duration
	rest := s
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if i <= 0 {
			return 0, durationError(s)
		}
		number, tail := rest[:i], rest[i:]
		j := strings.IndexFunc(tail, func(r rune) bool { return r >= '0' && r <= '9' || r == '.' })
		if j < 0 {
			j = len(tail)
		}
		part, err := scaled(number, tail[:j])
		if err != nil || total+part < total {
			return 0, durationError(s)
		}
		total, rest = total+part, tail[j:]
	}
	if s == "" {
		return 0, durationError(s)
	}
	return total, nil
}

// scaled returns number of unit.
func scaled(number, unit string) (time.Duration, error) {
	var scale time.Duration
	switch unit {
	case "d":
		scale = day
	case "w":
		scale = week
	case "y":
		scale = year
	default:
		return time.ParseDuration(number + unit)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n*float64(scale) > float64(1<<62) {
		return 0, durationError(number + unit)
	}
	return time.Duration(n * float64(scale)), nil
}

func durationError(s string) error {
	return fmt.Errorf("duration %.40q: want a number with a unit of s, m, h, d, w or y, as 365d; at most 146 years", s)
}

// ResolveExpiry turns what was asked for as expires-on into what a variant
// holds: an RFC 3339 time in whole UTC seconds, or [Never]. Accepted are those
// two, a date (its beginning in UTC) and a duration after created.
func ResolveExpiry(s string, created time.Time) (string, error) {
	if s == Never {
		return Never, nil
	}
	if s == "" {
		return "", fmt.Errorf("no expires-on; give a time, a duration as 365d, or %s", Never)
	}
	if t, err := parseMoment(s); err == nil {
		if t.Nanosecond() != 0 {
			t = t.Truncate(time.Second) // earlier: a voucher never lives longer than asked
		}
		if !t.After(created) {
			return "", fmt.Errorf("expires-on %s is not after created-on %s", s, FormatTime(created))
		}
		return FormatTime(t), nil
	}
	if len(s) > 4 && s[4] == '-' {
		return "", fmt.Errorf("expires-on %.40q is no time; want RFC 3339 as 2031-12-31T23:59:59Z, a date, a duration as 365d, or %s", s, Never)
	}
	d, err := ParseDuration(s)
	if err != nil {
		return "", fmt.Errorf("expires-on: %w", err)
	}
	if d < time.Second {
		return "", fmt.Errorf("expires-on %s: a voucher needs at least a second to live", s)
	}
	t := created.Add(d)
	if t.Year() > 9999 {
		return "", fmt.Errorf("expires-on %s is after the year 9999", s)
	}
	return FormatTime(t), nil
}

func parseMoment(s string) (time.Time, error) {
	if len(s) == len(time.DateOnly) {
		return time.Parse(time.DateOnly, s)
	}
	// A leap second is no instant of its own in UTC time scales without them.
	if len(s) > 19 && s[17:19] == "60" {
		t, err := time.Parse(time.RFC3339, s[:17]+"59"+s[19:])
		return t.Add(time.Second), err
	}
	return time.Parse(time.RFC3339, s)
}
