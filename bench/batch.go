package bench

import (
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/sign"
)

// A Batch makes finished vouchers in memory, as the workers of a job make them:
// step by step over a whole batch. It belongs to one goroutine; once it has seen
// a batch of a size it allocates nothing for the next.
type Batch struct {
	signer     sign.Signer
	template   *run.Template
	maker      *run.Maker
	templates  []*run.Template
	signatures []byte
	octets     []byte
	ends       []int
}

// NewBatch returns a Batch that signs with signer, whose certificate is that of
// the template.
func NewBatch(signer sign.Signer, template *run.Template) (*Batch, error) {
	maker, err := run.NewMaker(signer.Algorithm())
	if err != nil {
		return nil, err
	}
	return &Batch{signer: signer, template: template, maker: maker}, nil
}

// Make makes a voucher of each serial number, in order. The vouchers made before
// are overwritten.
func (b *Batch) Make(serials [][]byte) error {
	for len(b.templates) < len(serials) {
		b.templates = append(b.templates, b.template)
	}
	if err := b.maker.Prepare(serials, b.templates[:len(serials)]); err != nil {
		return err
	}
	size := b.signer.Algorithm().SignatureSize
	if need := size * len(serials); cap(b.signatures) < need {
		b.signatures = make([]byte, need)
	}
	b.signatures = b.signatures[:size*len(serials)]
	if err := b.signer.SignBatch(b.signatures, b.maker.Inputs()); err != nil {
		return err
	}
	b.octets, b.ends = b.octets[:0], b.ends[:0]
	for i := range serials {
		var err error
		if b.octets, err = b.maker.AppendEnvelope(b.octets, i, b.signatures[i*size:(i+1)*size]); err != nil {
			return err
		}
		b.ends = append(b.ends, len(b.octets))
	}
	return nil
}

// Len returns how many vouchers were made last.
func (b *Batch) Len() int { return len(b.ends) }

// Octets returns the size of all of them together.
func (b *Batch) Octets() int { return len(b.octets) }

// Voucher returns voucher i, valid until the next Make.
func (b *Batch) Voucher(i int) []byte {
	begin := 0
	if i > 0 {
		begin = b.ends[i-1]
	}
	return b.octets[begin:b.ends[i]:b.ends[i]]
}
