package run

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A Variant is what distinguishes one group of a run's devices from another:
// the pin, the issuer of the IDevIDs and the expiry. Every device of a run
// belongs to exactly one variant, and each variant has one template.
type Variant struct {
	Pin       string `json:"pin,omitempty"`            // a name in the header's Pins
	Issuer    []byte `json:"idevid-issuer,omitempty"`  // canonical (04 LL 30 …), recorded with the device
	Include   bool   `json:"include-issuer,omitempty"` // the voucher carries Issuer
	ExpiresOn string `json:"expires-on"`               // RFC 3339 in UTC, or never
}

// Never is the expires-on of vouchers that do not expire.
const Never = "never"

// Marshal returns the variant's canonical JSON; equal variants give equal bytes.
func (v *Variant) Marshal() []byte {
	b, err := json.Marshal(v)
	if err != nil { // strings, bytes and a bool always marshal
		panic("run: variant: " + err.Error())
	}
	return b
}

// ParseVariant reads what Marshal wrote.
func ParseVariant(b []byte) (*Variant, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	v := new(Variant)
	if err := d.Decode(v); err != nil {
		return nil, fmt.Errorf("run variant: %v; restore the store from a copy", err)
	}
	return v, nil
}
