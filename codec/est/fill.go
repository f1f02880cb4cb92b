package est

import (
	"net/netip"
	"slices"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// FillParams is what a client has to fill CSR attributes in with.
type FillParams struct {
	SerialNumber string            // for serialNumber of the subject: that of the IDevID
	CommonName   string            // for commonName of the subject; "" when it has none
	Values       map[string]string // values of other subject attributes, by dotted type
	DNSNames     []string          // its DNS names, best first
	Addresses    []netip.Addr      // its addresses, best first
	Keys         []Key             // kinds of key it can make, best first; none: all. An RSA key of 0 bits: any size
	Extensions   []Extension       // values for extensions that a template leaves open
}

// A Demand is what a client puts into its request to follow CSR attributes.
type Demand struct {
	Subject           []byte      // Name, DER
	Key               Key         // kind of key to make; a zero field leaves the choice to the client
	Signatures        []string    // algorithms or hashes to sign with, any of them; none: as the key has it
	Extensions        []Extension // to ask for
	ChallengePassword bool        // link the request to its TLS session (RFC 7030 §3.5)
}

// Fill returns what a client puts into its request. A template is used alone;
// without one the list is used (RFC 9908 §4), and attributes that say nothing
// leave all to the client, whose subject then is its commonName and serialNumber.
//
// In a template each open subject attribute gets the client's value of its
// type, and each open name of a subjectAltName the client's next DNS name or
// address, or its subject. For an open extension the client's own value in p
// counts, else its names for subjectAltName, digitalSignature for keyUsage,
// clientAuth for extendedKeyUsage, and no CA for basicConstraints.
//
// The error is a *PolicyError that names what the client has no value for, or an
// *EncodeError when a template cannot be written as a name.
func (a *CSRAttrs) Fill(p *FillParams) (*Demand, error) {
	if a.Template != nil {
		return a.Template.fill(p)
	}
	d := &Demand{Signatures: a.Signatures, Extensions: a.Extensions, ChallengePassword: a.ChallengePassword}
	var err error
	if d.Key, err = pickKey(a.Keys, p.Keys); err != nil {
		return nil, err
	}
	var name []NameAttribute
	for _, id := range [...]string{OIDCommonName, OIDSerialNumber} {
		value := p.value(id)
		if value != "" {
			name = append(name, NameAttribute{RDN: len(name), ID: id, Tag: textTag(id, value), Value: []byte(value)})
		} else if slices.ContainsFunc(a.Items, func(i Attribute) bool { return i.ID == id && i.Values == nil }) {
			return nil, lacking("subject attribute " + id)
		}
	}
	if d.Subject, err = AppendName(nil, name); err != nil {
		return nil, err
	}
	return d, nil
}

func (p *FillParams) value(id string) string {
	switch id {
	case OIDSerialNumber:
		return p.SerialNumber
	case OIDCommonName:
		return p.CommonName
	}
	return p.Values[id]
}

func lacking(item string) error {
	return &PolicyError{item, "the client to fill it in", "no value for it"}
}

// pickKey returns the first kind wanted that the client can make.
func pickKey(wanted, can []Key) (Key, error) {
	switch {
	case len(wanted) == 0 && len(can) == 0:
		return Key{}, nil
	case len(wanted) == 0:
		return can[0], nil
	case len(can) == 0:
		return wanted[0], nil
	}
	for _, want := range wanted {
		for _, have := range can {
			switch {
			case have.Satisfies(want):
				return have, nil
			case want.Satisfies(have):
				return want, nil
			}
		}
	}
	return Key{}, &PolicyError{"key", keyNames(wanted), "a client that makes " + keyNames(can)}
}

func (t *Template) fill(p *FillParams) (*Demand, error) {
	d := &Demand{}
	var err error
	var wanted []Key
	if t.Key != (Key{}) {
		wanted = []Key{t.Key}
	}
	if d.Key, err = pickKey(wanted, p.Keys); err != nil {
		return nil, err
	}
	if t.Subject == nil {
		own := CSRAttrs{}
		whole, err := own.Fill(p)
		if err != nil {
			return nil, err
		}
		d.Subject = whole.Subject
	} else if d.Subject, err = fillSubject(t.Subject, p); err != nil {
		return nil, err
	}
	for i := range t.Extensions {
		ext := t.Extensions[i]
		switch {
		case ext.Value == nil:
			ext.Value, err = p.openExtension(ext.ID)
		case hasBlanks(&ext):
			ext.Value, err = fillNames(ext.Value, p, d.Subject)
		}
		if err != nil {
			return nil, err
		}
		d.Extensions = append(d.Extensions, ext)
	}
	return d, nil
}

func fillSubject(template []NameAttribute, p *FillParams) ([]byte, error) {
	name := slices.Clone(template)
	for i := range name {
		if name[i].Tag != 0 {
			continue
		}
		value := p.value(name[i].ID)
		if value == "" {
			return nil, lacking("subject attribute " + name[i].ID)
		}
		name[i].Tag, name[i].Value = textTag(name[i].ID, value), []byte(value)
	}
	return AppendName(nil, name)
}

// openExtension returns the client's value for an extension that is left open.
func (p *FillParams) openExtension(id string) ([]byte, error) {
	if own := FindExtension(p.Extensions, id); own != nil && own.Value != nil {
		return own.Value, nil
	}
	switch id {
	case OIDSubjectAltName:
		if len(p.DNSNames)+len(p.Addresses) > 0 {
			return AppendSubjectAltName(nil, p.DNSNames, p.Addresses), nil
		}
	case OIDKeyUsage:
		return []byte{der.TagBitString, 2, 7, 0x80}, nil // digitalSignature
	case OIDExtendedKeyUsage:
		usage, _ := appendOID(nil, oidClientAuth)
		return der.Wrap(usage, 0, der.TagSequence), nil
	case OIDBasicConstraints:
		return []byte{der.TagSequence, 0}, nil
	}
	return nil, lacking("extension " + id)
}

// fillNames fills in the names that a subjectAltName leaves open, each kind in
// the client's order.
func fillNames(template []byte, p *FillParams, subject []byte) ([]byte, error) {
	names, err := generalNames(template)
	if err != nil {
		return nil, fault(objCSRAttrs, "subjectAltName", err)
	}
	const item = "extension " + OIDSubjectAltName
	var value []byte
	dns, addresses := p.DNSNames, p.Addresses
	for i := range names {
		switch n := &names[i]; {
		case !isBlank(n):
			value = append(value, n.Raw...)
		case n.Tag == tagDNSName:
			if len(dns) == 0 || dns[0] == "" {
				return nil, lacking(item + ", a DNS name")
			}
			value = append(der.AppendHeader(value, tagDNSName, len(dns[0])), dns[0]...)
			dns = dns[1:]
		case n.Tag == tagIPAddress:
			if len(addresses) == 0 || !addresses[0].IsValid() {
				return nil, lacking(item + ", an address")
			}
			value = appendAddress(value, addresses[0])
			addresses = addresses[1:]
		default:
			if len(subject) == 2 {
				return nil, lacking(item + ", a directory name")
			}
			value = der.Append(value, tagDirectoryName, subject)
		}
	}
	return der.Wrap(value, 0, der.TagSequence), nil
}
