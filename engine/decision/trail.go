package decision

import (
	"fmt"
	"strings"
)

// MaxTrail is how many checks a Trail keeps, and MaxDetail how many octets of
// each detail: what others send goes into them.
const (
	MaxTrail  = 64
	MaxDetail = 512
	// usualTrail is how many checks a request has that passes them all.
	usualTrail = 24
)

// A Check is one thing that was looked at.
type Check struct {
	Name   string `json:"check"` // stable, such as "serial-number"
	OK     bool   `json:"ok"`
	Kind   Kind   `json:"kind,omitempty"` // of the refusal, when OK is false
	Detail string `json:"detail,omitempty"`
}

// A Trail is the checks of one attempt in their order. The zero Trail is ready
// for use; a nil *Trail keeps nothing.
type Trail struct {
	checks []Check
}

// Pass records a check that held. The format may be empty.
func (t *Trail) Pass(name, format string, args ...any) {
	t.add(Check{Name: name, OK: true, Detail: detail(format, args)})
}

// Fail records that the check of this name refused the attempt, and returns r.
func (t *Trail) Fail(name string, r *Refusal) *Refusal {
	t.add(Check{Name: name, Kind: r.Kind, Detail: cut(r.Operator)})
	return r
}

// Refuse makes a Refusal as [Refuse] does and records it as the check's outcome.
func (t *Trail) Refuse(kind Kind, name, format string, args ...any) *Refusal {
	return t.Fail(name, Refuse(kind, format, args...))
}

// Checks returns what was recorded. It is the trail's own memory.
func (t *Trail) Checks() []Check {
	if t == nil {
		return nil
	}
	return t.checks
}

func (t *Trail) add(c Check) {
	if t == nil || len(t.checks) == MaxTrail {
		return
	}
	if t.checks == nil {
		t.checks = make([]Check, 0, usualTrail)
	}
	t.checks = append(t.checks, c)
}

func detail(format string, args []any) string {
	if format == "" {
		return ""
	}
	return cut(fmt.Sprintf(format, args...))
}

// cut shortens text to MaxDetail octets.
func cut(text string) string {
	if len(text) <= MaxDetail {
		return text
	}
	return strings.ToValidUTF8(text[:MaxDetail-3], "") + "..."
}
