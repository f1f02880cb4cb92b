package codec

// Limits bound what the decoders of this package accept. A zero field stands
// for its default, so the zero Limits is DefaultLimits.
type Limits struct {
	VoucherBytes int // octets of a voucher payload or envelope; default 64 KiB
	RequestBytes int // octets of a voucher-request payload or envelope, which may hold another request; default 256 KiB
	Depth        int // nesting of JSON or CBOR containers, the outermost is 1; default 16
	Leaves       int // unknown leaves kept per payload; default 64
	Extensions   int // entries of the leaf-list extensions; default 64
	Certificates int // certificates per envelope, and per agent-sign-cert; default 16
	Signatures   int // signatures per envelope; default 8
	SerialBytes  int // octets of a serial-number; default 64, at most 1024 is useful
}

// DefaultLimits returns the limits used where the caller sets none.
func DefaultLimits() Limits {
	return Limits{
		VoucherBytes: 64 << 10,
		RequestBytes: 256 << 10,
		Depth:        16,
		Leaves:       64,
		Extensions:   64,
		Certificates: 16,
		Signatures:   8,
		SerialBytes:  64,
	}
}

// withDefaults returns l with every unset (zero or negative) field defaulted.
func (l Limits) withDefaults() Limits {
	def := DefaultLimits()
	return Limits{
		VoucherBytes: positive(l.VoucherBytes, def.VoucherBytes),
		RequestBytes: positive(l.RequestBytes, def.RequestBytes),
		Depth:        positive(l.Depth, def.Depth),
		Leaves:       positive(l.Leaves, def.Leaves),
		Extensions:   positive(l.Extensions, def.Extensions),
		Certificates: positive(l.Certificates, def.Certificates),
		Signatures:   positive(l.Signatures, def.Signatures),
		SerialBytes:  positive(l.SerialBytes, def.SerialBytes),
	}
}

// positive returns n, or def where n is not positive.
func positive(n, def int) int {
	if n > 0 {
		return n
	}
	return def
}
