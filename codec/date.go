package codec

import "time"

// parseDate reads a yang:date-and-time (RFC 6991 section 3): an RFC 3339 date
// with upper-case T and Z, a mandatory offset, and a fraction of any length, of
// which nine digits count. It returns the instant in UTC.
//
// A leap second, 60, is accepted where leap seconds happen, in the last UTC
// second of a month, and stands for the second that follows, as POSIX clocks
// have it. The instant must lie in years 0000 to 9999 UTC and must not be the
// zero time, which stands for an absent leaf.
func parseDate(s []byte) (time.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	year, month, day := digits(s[0:4]), digits(s[5:7]), digits(s[8:10])
	hour, minute, second := digits(s[11:13]), digits(s[14:16]), digits(s[17:19])
	if year < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 {
		return time.Time{}, false
	}
	nanos, rest, ok := parseFraction(s[19:])
	if !ok {
		return time.Time{}, false
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute-offset, second, nanos, time.UTC)
	if second == 60 && (t.Day() != 1 || t.Hour() != 0 || t.Minute() != 0) {
		return time.Time{}, false
	}
	return t, t.Year() >= 0 && t.Year() <= 9999 && !t.IsZero()
}

// digits returns the value of decimal digits, or -1.
func digits(s []byte) int {
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// parseFraction reads an optional fraction of a second, cut to nanoseconds.
func parseFraction(s []byte) (nanos int, rest []byte, ok bool) {
	if len(s) == 0 || s[0] != '.' {
		return 0, s, true
	}
	end, scale := 1, 100_000_000
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		nanos += int(s[end]-'0') * scale
		scale /= 10
		end++
	}
	return nanos, s[end:], end > 1
}

// parseOffset reads Z or ±hh:mm and returns minutes east of UTC. -00:00, the
// unknown local offset, is UTC.
func parseOffset(s []byte) (minutes int, ok bool) {
	if len(s) == 1 && s[0] == 'Z' {
		return 0, true
	}
	if len(s) != 6 || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, false
	}
	h, m := digits(s[1:3]), digits(s[4:6])
	if h < 0 || h > 23 || m < 0 || m > 59 {
		return 0, false
	}
	if s[0] == '-' {
		return -(h*60 + m), true
	}
	return h*60 + m, true
}
