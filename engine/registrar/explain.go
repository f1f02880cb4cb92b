package registrar

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// An Explanation is what became of a device's attempts.
type Explanation struct {
	// Device is nil when no device of the name is on record and the attempts are
	// those of clients that claimed its serial number.
	Device *DeviceInfo `json:"device,omitempty"`
	// Attempts, oldest first, each with every check in order.
	Attempts []Attempt `json:"attempts"`
	// Unidentified are attempts that ended before it was clear who made them, by
	// certificates that claim the device's serial number.
	Unidentified []Attempt `json:"unidentified,omitempty"`
}

// Explain returns the last attempts of a device, by the name that device.Find
// reads. Without a name it returns the last attempts of clients that could not
// be identified. The error is a *device.NotFoundError or *device.AmbiguousError.
func (s *Service) Explain(ctx context.Context, name string) (*Explanation, error) {
	x := &Explanation{}
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		var err error
		if x.Unidentified, err = strangers(r, name); err != nil || name == "" {
			return err
		}
		id, err := device.Find(r, prefixDevice, name)
		var missing *device.NotFoundError
		if errors.As(err, &missing) && len(x.Unidentified) > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		dev, _, err := get[deviceRecord](r, deviceKey(prefixDevice, id))
		if err != nil {
			return err
		}
		x.Device = s.info(id, &dev)
		record, _, err := get[attemptsRecord](r, deviceKey(prefixAttempts, id))
		x.Attempts = record.Attempts
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, list := range [][]Attempt{x.Attempts, x.Unidentified} {
		for i := range list {
			list[i].At = list[i].At.UTC()
		}
	}
	return x, nil
}

// strangers lists the attempts of the unidentified, oldest first, whose
// certificate claims a serial number; all of them for "".
func strangers(r state.Reader, serial string) (list []Attempt, err error) {
	err = r.Scan(prefixStranger, nil, func(key, value []byte) error {
		entry, err := parse[Attempt](key, value)
		if err == nil && (serial == "" || entry.Serial == serial) {
			list = append(list, entry)
		}
		return err
	})
	slices.SortStableFunc(list, func(a, b Attempt) int { return a.At.Compare(b.At) })
	return list, err
}

// command is what an operator types about a device.
func command(verb string, id device.ID) string {
	return "registrar devices " + verb + " " + shellWord(id.String())
}

// shellWord quotes text for a POSIX shell where that is needed.
func shellWord(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/-_.:,@%+=", r))
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// remedy is the command that would have let an attempt go on, "" where there is
// none.
func remedy(kind decision.Kind, id *device.ID) string {
	switch kind {
	case decision.UnknownManufacturer:
		return "registrar manufacturers add NAME --idevid-ca FILE"
	case decision.NoSerialNumber:
		return "registrar manufacturers add NAME --idevid-ca FILE --serial-from cn"
	case decision.NoMASA, decision.MASAAddress:
		return "registrar manufacturers add NAME --idevid-ca FILE --masa-url URL --masa-trust FILE"
	}
	if id == nil {
		return ""
	}
	switch kind {
	case decision.DeviceNotListed, decision.DeviceRefused, decision.AmbiguousDevice:
		return command("approve", *id)
	}
	return ""
}
