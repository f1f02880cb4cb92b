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
	for _, f := range [...]struct {
		field *int
		def   int
	}{
		{&l.VoucherBytes, def.VoucherBytes},
		{&l.RequestBytes, def.RequestBytes},
		{&l.Depth, def.Depth},
		{&l.Leaves, def.Leaves},
		{&l.Extensions, def.Extensions},
		{&l.Certificates, def.Certificates},
		{&l.Signatures, def.Signatures},
		{&l.SerialBytes, def.SerialBytes},
	} {
		if *f.field <= 0 {
			*f.field = f.def
		}
	}
	return l
}
