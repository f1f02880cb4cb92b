package pledge

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

// ownIdentity is what the IDevID says about this device.
type ownIdentity struct {
	serial string
	facts  *codec.IDevID
	issuer *x509.Certificate // nil if the chain holds only the IDevID
}

// identify reads the device's own IDevID.
func identify(id Identity, from codec.SerialSource) (*ownIdentity, error) {
	if len(id.Chain) == 0 || id.Key == nil {
		return nil, errors.New("pledge: the IDevID needs a certificate and its key")
	}
	if err := sign.MatchCertificate(id.Key, id.Chain[0]); err != nil {
		return nil, fmt.Errorf("pledge: the IDevID: %w", err)
	}
	facts, err := codec.ParseIDevID(id.Chain[0].Raw)
	if err != nil {
		return nil, fmt.Errorf("pledge: the IDevID: %w", err)
	}
	serial, err := facts.Serial(from)
	if err == nil {
		err = codec.CheckSerial(serial, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("pledge: the IDevID of %q: %w", id.Chain[0].Subject, err)
	}
	own := &ownIdentity{serial: string(serial), facts: facts}
	if len(id.Chain) > 1 {
		own.issuer = id.Chain[1]
	}
	return own, nil
}
