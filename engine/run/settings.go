package run

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/sign"
)

// NewHeader makes the header of the run that settings ask for. alg is the
// algorithm of the key, chain its certificate and those above it, pins what
// Settings.Pins names, all DER. Name and CreatedOn stay empty where the settings
// leave them open.
func NewHeader(s *profile.Settings, alg *sign.Algorithm, chain [][]byte, pins []Pin) (*Header, error) {
	if !s.ExpiresOn.IsSet() {
		return nil, fmt.Errorf("no expires-on: give a time, a duration as 365d, or %s", Never)
	}
	h := &Header{
		Version: HeaderVersion, Name: s.Run.Or(""), Format: s.Format.Or(codec.FormatCMS).String(), Algorithm: alg.Name,
		Chain: chain, Pins: pins, PinAs: PinAs(s.PinAs.Or(profile.PinCert).String()),
		ExpiresOn: s.ExpiresOn.Or(profile.Expiry{}).String(), Assertion: s.Assertion.Or(codec.AssertionLogged).String(),
		SerialFrom: s.SerialFrom.Or("subject"), SerialBytes: s.SerialBytes.Or(codec.DefaultLimits().SerialBytes),
		IncludeIssuer: s.IncludeIssuer.Or(s.IDevIDIssuer.IsSet()), DataContentType: s.EContent.Or("anima") == "data",
		SigningTime: s.SigningTime.Or("none") == "created-on", Hedged: s.Hedged.Or(false), Delta: s.Delta.Or(""),
		EstDomain: s.EstDomain.Or(""), AdditionalConfigurationURL: s.AdditionalConfigurationURL.Or(""),
		ManufacturerProprietary: s.ManufacturerProprietary.Or(nil),
	}
	if s.CreatedOn.IsSet() {
		h.CreatedOn = FormatTime(s.CreatedOn.Or(time.Time{}))
	}
	if s.RenewBefore.IsSet() {
		h.RenewBefore = s.RenewBefore.Or(0).String()
	}
	if s.LastRenewalDate.IsSet() {
		h.LastRenewalDate = s.LastRenewalDate.Or(profile.Expiry{}).String()
	}
	if s.DomainCertRevocationChecks.IsSet() {
		checks := s.DomainCertRevocationChecks.Or(false)
		h.DomainCertRevocationChecks = &checks
	}
	for _, e := range s.Extensions.Or(nil) {
		if e.Name != nil {
			h.Extensions = append(h.Extensions, string(e.Name))
		} else {
			h.Extensions = append(h.Extensions, strconv.FormatUint(e.SID, 10))
		}
	}
	if s.IDevIDIssuer.IsSet() {
		given := s.IDevIDIssuer.Or(nil)
		issuer, err := codec.NormalizeIssuer(given)
		if err != nil {
			return nil, fmt.Errorf("idevid-issuer %s: %w", hex.EncodeToString(given), err)
		}
		h.Issuer = issuer
	}
	return h, nil
}
