package profile

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Expiry is when something ends: at an instant, some time after a moment the
// user of it knows, or never.
type Expiry struct {
	Never bool
	At    time.Time     // unless zero
	After time.Duration // else, positive
}

// From gives the instant, counted from start, in whole UTC seconds; the zero
// time for never.
func (e Expiry) From(start time.Time) time.Time {
	switch {
	case e.Never:
		return time.Time{}
	case !e.At.IsZero():
		return e.At.UTC().Truncate(time.Second)
	}
	return start.Add(e.After).UTC().Truncate(time.Second)
}

// String returns what ParseExpiry takes.
func (e Expiry) String() string {
	switch {
	case e.Never:
		return "never"
	case !e.At.IsZero():
		return e.At.UTC().Format(time.RFC3339)
	}
	return e.After.String()
}

// maxTimeBytes is longer than any time or duration needs to be written.
const maxTimeBytes = 64

// ParseExpiry reads a time, a duration or "never", as the package comment
// describes them: the forms of --expires-on and of a list's column.
func ParseExpiry(text string) (Expiry, error) {
	if text == "never" {
		return Expiry{Never: true}, nil
	}
	if len(text) > 4 && text[4] == '-' {
		at, err := ParseTime(text)
		return Expiry{At: at}, err
	}
	after, err := ParseDuration(text)
	if err != nil {
		return Expiry{}, err
	}
	if after <= 0 {
		return Expiry{}, fmt.Errorf("%q has passed before it begins", text)
	}
	return Expiry{After: after}, nil
}

// ParseTime reads RFC 3339 with its zone, or a date, which means midnight UTC.
// Years are 0001 to 9999; leap seconds are refused, as Go has none.
func ParseTime(text string) (time.Time, error) {
	if len(text) > maxTimeBytes {
		return time.Time{}, fmt.Errorf("%d octets, too long for a time", len(text))
	}
	layout := time.RFC3339
	if len(text) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time as 2026-03-01T00:00:00Z or 2026-03-01", text)
	}
	if t = t.UTC(); t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%q is outside the years 0001 to 9999", text)
	}
	return t, nil
}

// unit is a unit of durations.
type unit struct {
	name string
	size time.Duration
}

const day = 24 * time.Hour

// The units, longer names before their beginnings.
var (
	goUnits = []unit{{"ns", time.Nanosecond}, {"us", time.Microsecond}, {"µs", time.Microsecond}, {"ms", time.Millisecond},
		{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", day}, {"w", 7 * day}, {"y", 365 * day}}
	isoDays  = []unit{{"Y", 365 * day}, {"W", 7 * day}, {"D", day}}
	isoHours = []unit{{"H", time.Hour}, {"M", time.Minute}, {"S", time.Second}}
)

var errDurationRange = errors.New("the duration is over 292 years; write never, or a date")

// ParseDuration reads a duration as the package comment describes it. It is
// never negative.
func ParseDuration(text string) (time.Duration, error) {
	if len(text) > maxTimeBytes {
		return 0, fmt.Errorf("%d octets, too long for a duration", len(text))
	}
	var total time.Duration
	var err error
	if rest, iso := strings.CutPrefix(text, "P"); iso {
		days, hours, timed := strings.Cut(rest, "T")
		if strings.Contains(days, "M") {
			return 0, fmt.Errorf("%q counts months, which have no fixed length: write days", text)
		}
		if timed && hours == "" || rest == "" {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		if total, err = sum(0, days, isoDays); err == nil {
			total, err = sum(total, hours, isoHours)
		}
	} else if text != "" {
		total, err = sum(0, text, goUnits)
	} else {
		err = errNotDuration
	}
	if err == errNotDuration {
		return 0, fmt.Errorf("%q is not a duration: write numbers with units, as 10y, 90d or 36h", text)
	}
	return total, err
}

var errNotDuration = errors.New("not a duration")

// sum adds the numbers with units of text to total.
func sum(total time.Duration, text string, units []unit) (time.Duration, error) {
	for text != "" {
		n := 0
		for n < len(text) && (text[n] >= '0' && text[n] <= '9' || text[n] == '.') {
			n++
		}
		number := text[:n]
		text = text[n:]
		size := time.Duration(0)
		for _, u := range units {
			if rest, ok := strings.CutPrefix(text, u.name); ok {
				text, size = rest, u.size
				break
			}
		}
		if size == 0 || n == 0 || number == "." {
			return 0, errNotDuration
		}
		part, err := multiply(number, size)
		if err != nil {
			return 0, err
		}
		if part > math.MaxInt64-total {
			return 0, errDurationRange
		}
		total += part
	}
	return total, nil
}

// multiply is number times size: exact for the whole part, and for the fraction
// what time.ParseDuration makes of it.
func multiply(number string, size time.Duration) (time.Duration, error) {
	digits, fraction, _ := strings.Cut(number, ".")
	var whole uint64
	if digits != "" {
		var err error
		if whole, err = strconv.ParseUint(digits, 10, 63); errors.Is(err, strconv.ErrRange) {
			return 0, errDurationRange
		} else if err != nil {
			return 0, errNotDuration
		}
	}
	if whole > uint64(math.MaxInt64/size) {
		return 0, errDurationRange
	}
	part, err := fractionOf(fraction, size)
	total := time.Duration(whole) * size
	switch {
	case err != nil:
		return 0, err
	case part > math.MaxInt64-total:
		return 0, errDurationRange
	}
	return total + part, nil
}

// fractionDigits is how many digits of a fraction count: more say less than a
// nanosecond in any unit.
const fractionDigits = 18

// fractionOf is the part of size that the digits behind a point stand for.
func fractionOf(digits string, size time.Duration) (time.Duration, error) {
	value, scale := uint64(0), 1.0
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, errNotDuration
		}
		if i < fractionDigits {
			value, scale = 10*value+uint64(c-'0'), 10*scale
		}
	}
	return time.Duration(float64(value) * (float64(size) / scale)), nil
}
