package codec

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"
)

// ReportCertificate is what a certificate says.
type ReportCertificate struct {
	Subject   string     `json:"subject,omitempty"`
	Issuer    string     `json:"issuer,omitempty"`
	Serial    string     `json:"serial,omitempty"` // hexadecimal
	NotBefore *time.Time `json:"not-before,omitempty"`
	NotAfter  *time.Time `json:"not-after,omitempty"`
	Key       string     `json:"key,omitempty"`
	CA        bool       `json:"ca,omitempty"`
	// DeviceSerials are the serialNumber attributes of the subject, HardwareModules
	// are "type serial" with the serial in hexadecimal.
	DeviceSerials   []string `json:"device-serials,omitempty"`
	HardwareModules []string `json:"hardware-modules,omitempty"`
	// IDevIDIssuer is the idevid-issuer this certificate gives, hexadecimal.
	IDevIDIssuer string `json:"idevid-issuer,omitempty"`
	MASAURL      string `json:"masa-url,omitempty"`
	// Error says why it cannot be read; then all else is absent.
	Error string `json:"error,omitempty"`
}

func reportCertificate(cert []byte) ReportCertificate {
	c, err := ParseIDevID(cert)
	if err != nil {
		return ReportCertificate{Error: err.Error()}
	}
	x := c.Certificate
	out := ReportCertificate{
		Subject: x.Subject.String(), Issuer: x.Issuer.String(), Serial: hex.EncodeToString(x.SerialNumber.Bytes()),
		NotBefore: &x.NotBefore, NotAfter: &x.NotAfter, Key: keyName(x),
		CA: c.CertificateAuthority, MASAURL: c.MASAURL, IDevIDIssuer: hex.EncodeToString(c.Issuer()),
	}
	for _, s := range c.SerialNumbers {
		out.DeviceSerials = append(out.DeviceSerials, string(s))
	}
	for _, m := range c.HardwareModules {
		out.HardwareModules = append(out.HardwareModules, fmt.Sprintf("%s %x", m.Type, m.SerialNumber))
	}
	return out
}

// keyName names a public key's algorithm with its curve or size.
func keyName(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	default:
		return c.PublicKeyAlgorithm.String()
	}
}
