package progress

import (
	"fmt"
	"strings"
)

// A Mode says how progress is shown.
type Mode uint8

// The modes. The zero Mode is Auto.
const (
	Auto  Mode = iota // Bar on a terminal, Plain elsewhere
	Bar               // one line, redrawn; for terminals
	Plain             // a line every few seconds
	JSON              // an object per line, every second
	None              // nothing
)

var modeNames = [...]string{Auto: "auto", Bar: "bar", Plain: "plain", JSON: "json", None: "none"}

// String returns the name ParseMode takes.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// ParseMode returns the mode of that name: auto, bar, plain, json or none.
// Anything else is a *ModeError.
func ParseMode(name string) (Mode, error) {
	for m, n := range modeNames {
		if n == name {
			return Mode(m), nil
		}
	}
	return Auto, &ModeError{Name: name}
}

// A ModeError names a mode that does not exist.
type ModeError struct{ Name string }

// Error quotes the name and lists the modes there are.
func (e *ModeError) Error() string {
	return fmt.Sprintf("progress: no mode %q: use one of %s", e.Name, strings.Join(modeNames[:], ", "))
}
