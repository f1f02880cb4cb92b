package est

import "github.com/vouchmill/vouchmill/codec"

// Limits bound what the parsers of this package accept; what exceeds one is
// refused with a [codec.LimitError] that names it. A zero field stands for its
// default, so the zero Limits is DefaultLimits.
type Limits struct {
	CSRBytes      int // octets of a certification request; default 16 KiB
	CSRAttributes int // attributes of a certification request or of a template; default 16
	Extensions    int // extensions in one list; default 32
	RDNs          int // attributes of a distinguished name, over all its RDNs; default 32, at most 64 is useful
	CertsBytes    int // octets of a certs-only message; default 128 KiB
	Certificates  int // certificates of a certs-only message; default 16
	CSRAttrsBytes int // octets of CSR attributes; default 16 KiB
	CSRAttrsItems int // elements of CSR attributes; default 64
}

// DefaultLimits returns the limits used where the caller sets none.
func DefaultLimits() Limits {
	return Limits{
		CSRBytes:      16 << 10,
		CSRAttributes: 16,
		Extensions:    32,
		RDNs:          32,
		CertsBytes:    128 << 10,
		Certificates:  16,
		CSRAttrsBytes: 16 << 10,
		CSRAttrsItems: 64,
	}
}

// withDefaults returns l with every unset (zero or negative) field defaulted.
func (l Limits) withDefaults() Limits {
	def := DefaultLimits()
	for _, f := range [...]struct {
		field *int
		def   int
	}{
		{&l.CSRBytes, def.CSRBytes},
		{&l.CSRAttributes, def.CSRAttributes},
		{&l.Extensions, def.Extensions},
		{&l.RDNs, def.RDNs},
		{&l.CertsBytes, def.CertsBytes},
		{&l.Certificates, def.Certificates},
		{&l.CSRAttrsBytes, def.CSRAttrsBytes},
		{&l.CSRAttrsItems, def.CSRAttrsItems},
	} {
		if *f.field <= 0 {
			*f.field = f.def
		}
	}
	return l
}

// within refuses a count or size above its limit.
func within(name string, limit, got int) error {
	if got > limit {
		return &codec.LimitError{Limit: name, Max: limit, Got: got}
	}
	return nil
}
