package run

import (
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/engine/profile"
)

// ResolveExpiry turns what was asked for as expires-on, in any form
// profile.ParseExpiry takes, into what a variant holds: an RFC 3339 time in
// whole UTC seconds, or [Never]. Durations count from created.
func ResolveExpiry(s string, created time.Time) (string, error) {
	if s == "" {
		return "", fmt.Errorf("no expires-on; give a time, a duration as 365d, or %s", Never)
	}
	e, err := profile.ParseExpiry(s)
	if err != nil {
		return "", fmt.Errorf("expires-on: %w", err)
	}
	if e.Never {
		return Never, nil
	}
	t := e.From(created)
	switch {
	case !t.After(created):
		return "", fmt.Errorf("expires-on %s is not after created-on %s", s, FormatTime(created))
	case t.Year() > 9999:
		return "", fmt.Errorf("expires-on %s is after the year 9999", s)
	}
	return FormatTime(t), nil
}
