package verify

import (
	"time"

	"github.com/vouchmill/vouchmill/engine/manifest"
)

// A Report sums up a verification. Its JSON names are stable.
type Report struct {
	At       time.Time         `json:"at"` // the time of validation
	Sources  uint64            `json:"sources"`
	Vouchers uint64            `json:"vouchers"`
	Passed   uint64            `json:"passed"`
	Failed   uint64            `json:"failed"`             // vouchers
	Missing  uint64            `json:"missing"`            // expected devices without a voucher that passed
	Formats  map[string]uint64 `json:"formats"`            // vouchers that passed, by envelope
	Checks   []Check           `json:"checks"`             // which checks were made, in their order
	Failures map[Check]uint64  `json:"failures,omitempty"` // everything that failed, by check

	Manifests []ManifestReport `json:"manifests,omitempty"`
	Notes     []string         `json:"notes,omitempty"` // what the checks made do not say; at most maxNotes
}

// A ManifestReport says what became of one source's manifest.
type ManifestReport struct {
	Source string          `json:"source"`
	Holds  bool            `json:"holds"`
	Run    string          `json:"run,omitempty"` // this and the rest are unset where the manifest cannot be read
	Count  uint64          `json:"count,omitempty"`
	Root   manifest.Digest `json:"root,omitzero"`
}

// maxNotes bounds Report.Notes: with thousands of files the first ones tell.
const maxNotes = 20

// OK reports whether everything held and there was something to check.
func (r *Report) OK() bool { return r.Vouchers > 0 && len(r.Failures) == 0 }

func (r *Report) note(text string) {
	if len(r.Notes) < maxNotes {
		r.Notes = append(r.Notes, text)
	}
}
