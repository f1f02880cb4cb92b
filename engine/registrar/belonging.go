package registrar

import (
	"fmt"
	"strings"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A list names devices by the key identifier of their issuer and a serial number.
// Whoever makes a CA certificate chooses both, so another manufacturer that is
// known here could present a CA of its own with the identifier of the one that
// the list means. A row is therefore a manufacturer's: the one it was imported
// for, else the one that vouches for the device that comes, where the identifier
// is a digest of the issuer's key, which nobody else can have.

// bind notes whose device a record is from now on.
func (d *deviceRecord) bind(maker string) { d.Maker, d.Open = maker, false }

// foreign returns a refusal if a record is another manufacturer's than who's: of
// who, nothing is noted there.
func (d *deviceRecord) foreign(who *device.Identity) *decision.Refusal {
	if d.Maker == "" || d.Maker == who.Manufacturer.Name {
		return nil
	}
	return decision.Refuse(decision.BadCertificate, "device %s is one of manufacturer %s, for which it is on the list, and manufacturer %s vouches for the IDevID that came; "+
		"if it is the latter's, import the list again with --manufacturer %s", who.ID, d.Maker, who.Manufacturer.Name, shellWord(who.Manufacturer.Name))
}

// unproven says why a row that names no manufacturer is not taken to mean who,
// "" if it is.
func (s *Service) unproven(d *deviceRecord, who *device.Identity) string {
	all := s.makers.Load().list
	if !d.Open || len(all) == 1 || who.NamesIssuerKey() {
		return ""
	}
	var names []string
	for i := range all {
		names = append(names, all[i].Name)
	}
	return fmt.Sprintf("manufacturer %s vouches for it, the list does not say whose it is, and its issuer's key identifier is no digest of the issuer's key, so that each of the manufacturers %s could have made it; "+
		"import the list again with --manufacturer if it is right", who.Manufacturer.Name, strings.Join(names, ", "))
}

// withSerial returns the devices on record that have a serial number, at most
// device.MaxCandidates: those of a manufacturer, or all for "".
func withSerial(r state.Reader, serial, maker string) (ids []device.ID, err error) {
	err = device.ScanSerial(r, prefixDevice, serial, func(id device.ID, value []byte) error {
		if len(ids) == device.MaxCandidates {
			return state.ErrStop
		}
		dev, err := parse[deviceRecord](deviceKey(prefixDevice, id), value)
		if err == nil && (maker == "" || dev.Maker == maker || dev.Maker == "" && dev.Manufacturer == maker) {
			ids = append(ids, id)
		}
		return err
	})
	return ids, err
}
