package registrar

import (
	"context"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/device"
)

// registrarRequest makes the registrar's own voucher-request for a pledge's
// (RFC 8995 §5.5): the serial number and idevid-issuer of the IDevID, never what
// the pledge said; the nonce as the pledge wrote it; the pledge's request, whole;
// and no proximity leaf. The certificates around it are the registrar's path to
// the domain CA, so that a MASA may pin any of them.
//
// The octets depend on nothing but the arguments and the key, as far as the
// signer is deterministic: made again after a crash it is the same request.
func (s *Service) registrarRequest(ctx context.Context, who *device.Identity, p *pledgeRequest, created time.Time) ([]byte, error) {
	return s.sealers[p.format].Request(ctx, &codec.VoucherRequest{
		Voucher: codec.Voucher{
			Assertion:    codec.AssertionProximity,
			CreatedOn:    created,
			SerialNumber: []byte(who.ID.Serial),
			IDevIDIssuer: who.Issuer,
			Nonce:        p.nonce,
			NonceText:    p.nonceText,
		},
		PriorSignedVoucherRequest: p.body,
	})
}
