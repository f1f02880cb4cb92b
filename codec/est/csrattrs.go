package est

import (
	"slices"
	"strings"

	"github.com/vouchmill/vouchmill/codec/internal/der"
)

// CSRAttrs are the CSR attributes of an EST server: what it wants requests to
// have (RFC 7030 §4.5.2, RFC 8951 §3.2, RFC 9908). There are two styles, and a
// server may send both: a client that understands templates uses the template
// alone, others see the list. The zero value says nothing.
type CSRAttrs struct {
	Template *Template // the request to be filled in; nil when there is none

	// The list.
	ChallengePassword bool        // the request is to have a challengePassword
	Keys              []Key       // kinds of key, any of which will do; none: no demand
	Extensions        []Extension // to be asked for with these values
	Signatures        []string    // signature or hash algorithms, dotted, any of which will do; none: no demand
	Items             []Attribute // all else, in order; a bare OID has nil Values
}

// A Template is a request of which parts are filled in (RFC 9908 §3.4).
type Template struct {
	// Subject holds the attributes of the subject in order; those with Tag 0
	// are left to the client. nil: no demand; empty and not nil: an empty subject.
	Subject []NameAttribute
	// Key is the kind of key; the zero Key: no demand.
	Key Key
	// Extensions are to be asked for. A nil Value is left to the client, and so are
	// names in a subjectAltName that are empty (see [AppendSubjectAltName]).
	Extensions []Extension
	// Attributes are others, which a client that does not know them ignores.
	Attributes []Attribute
}

// Empty reports whether the attributes say nothing, as an empty SEQUENCE does.
func (a *CSRAttrs) Empty() bool {
	return a.Template == nil && !a.ChallengePassword && len(a.Keys)+len(a.Extensions)+len(a.Signatures)+len(a.Items) == 0
}

// List returns the attributes as a client sees them that knows no templates.
func (a *CSRAttrs) List() *CSRAttrs {
	list := *a
	list.Template = nil
	return &list
}

// signatureOIDs are the algorithms that stand in a list as bare OIDs and say how
// to sign: signature algorithms, and hashes as RFC 7030 had them.
var signatureOIDs = []string{
	OIDECDSAWithSHA256, OIDECDSAWithSHA384, OIDECDSAWithSHA512,
	OIDSHA256WithRSA, OIDSHA384WithRSA, OIDSHA512WithRSA, OIDRSAPSS,
	OIDSHA256, OIDSHA384, OIDSHA512,
}

// ParseCSRAttrs reads CSR attributes of both styles. Beside the forms of RFC 9908
// it takes what older servers send: extensions each in an attribute of its own
// type, and bare OIDs of curves. What it does not know it keeps in Items; byte
// slices are views into the input. A certification request, which some servers
// sent in place of attributes, is refused. The error is a *DecodeError or a
// *codec.LimitError.
func ParseCSRAttrs(attrs []byte, lim Limits) (*CSRAttrs, error) {
	lim = lim.withDefaults()
	if err := within("CSRAttrsBytes", lim.CSRAttrsBytes, len(attrs)); err != nil {
		return nil, err
	}
	outer := der.Cursor{Rest: attrs}
	c, err := outer.Enter(der.TagSequence)
	if err == nil {
		err = outer.End()
	}
	if err != nil {
		return nil, fault(objCSRAttrs, "", err)
	}
	if first := (der.Cursor{Rest: c.Rest}); first.Peek() == der.TagSequence {
		if info, err := first.Enter(der.TagSequence); err == nil && info.Peek() == der.TagInteger {
			return nil, problem(objCSRAttrs, "", "this is a certification request: send a template or a list (RFC 9908)")
		}
	}
	r := attrsReader{attrs: &CSRAttrs{}, limits: &lim}
	for n := 1; !c.Empty(); n++ {
		if err := within("CSRAttrsItems", lim.CSRAttrsItems, n); err != nil {
			return nil, err
		}
		if err := r.item(&c); err != nil {
			return nil, err
		}
	}
	return r.attrs, nil
}

// attrsReader reads the elements of CsrAttrs one after the other.
type attrsReader struct {
	attrs    *CSRAttrs
	limits   *Limits
	requests int // attributes of type id-ExtensionReq so far
}

// item reads one AttrOrOID.
func (r *attrsReader) item(c *der.Cursor) error {
	var item Attribute
	var err error
	if c.Peek() == der.TagOID {
		item.OID, item.ID, err = readOID(c)
	} else {
		item, err = readAttribute(c)
	}
	if err != nil {
		return fault(objCSRAttrs, "", err)
	}
	switch {
	case item.ID == OIDChallengePassword:
		r.attrs.ChallengePassword = true
		return nil
	case item.Values == nil:
		r.bare(item)
		return nil
	}
	values := der.Cursor{Rest: item.Values}
	part := "attribute " + item.ID
	switch item.ID {
	case OIDRequestInfoTemplate:
		return r.template(part, &values)
	case OIDECPublicKey, OIDRSAPublicKey, OIDEd25519, OIDEd448:
		return r.keys(part, item.ID, &values)
	case OIDExtensionRequest:
		// The example of RFC 7030 §4.5.2 has an OID in place of Extensions.
		if values.Peek() == der.TagSequence {
			return r.extensions(part, &values)
		}
	}
	if strings.HasPrefix(item.ID, arcCertificateExtension) || strings.HasPrefix(item.ID, arcPrivateExtension) {
		return r.oldExtension(part, &item)
	}
	r.attrs.Items = append(r.attrs.Items, item)
	return nil
}

// bare puts a bare OID down for what it asks for.
func (r *attrsReader) bare(item Attribute) {
	a := r.attrs
	switch item.ID {
	case OIDECPublicKey, OIDRSAPublicKey, OIDEd25519, OIDEd448:
		a.Keys = append(a.Keys, Key{Algorithm: item.ID})
	case OIDP256, OIDP384, OIDP521:
		a.Keys = append(a.Keys, Key{Algorithm: OIDECPublicKey, Curve: item.ID})
	default:
		if slices.Contains(signatureOIDs, item.ID) {
			a.Signatures = append(a.Signatures, item.ID)
			return
		}
		a.Items = append(a.Items, item)
	}
}

// keys reads the demand for a kind of key: an attribute with the OID of the key,
// whose values say which curve or how many bits (RFC 9908 §3.2). RFC 9908 lets an
// empty set ask for no more than the algorithm.
func (r *attrsReader) keys(part, algorithm string, values *der.Cursor) error {
	a := r.attrs
	if values.Empty() {
		a.Keys = append(a.Keys, Key{Algorithm: algorithm})
	}
	for !values.Empty() {
		k := Key{Algorithm: algorithm}
		var err error
		switch algorithm {
		case OIDECPublicKey:
			_, k.Curve, err = readOID(values)
		case OIDRSAPublicKey:
			var e der.Element
			if e, err = values.Read(der.TagInteger); err == nil {
				k.Bits, err = der.SmallInteger(e.Body)
			}
			if err == nil && k.Bits <= 0 {
				err = der.ErrValue
			}
		default:
			err = der.ErrValue // these algorithms have no parameters
		}
		if err != nil {
			return fault(objCSRAttrs, part, err)
		}
		a.Keys = append(a.Keys, k)
	}
	return nil
}

// extensions reads id-ExtensionReq, of which there is one, with one value.
func (r *attrsReader) extensions(part string, values *der.Cursor) error {
	if r.requests++; r.requests > 1 {
		return problem(objCSRAttrs, part, "is there twice (RFC 9908 §3.2)")
	}
	list, err := readExtensions(objCSRAttrs, part, values, r.limits.Extensions, false)
	if err != nil {
		return err
	}
	if values.End() != nil {
		return problem(objCSRAttrs, part, "has several values where one is allowed (RFC 9908 §3.2)")
	}
	for i := range list {
		if err := r.addExtension(part, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *attrsReader) addExtension(part string, ext *Extension) error {
	a := r.attrs
	if err := within("Extensions", r.limits.Extensions, len(a.Extensions)+1); err != nil {
		return err
	}
	if FindExtension(a.Extensions, ext.ID) != nil {
		return problem(objCSRAttrs, part, "extension "+ext.ID+" twice")
	}
	a.Extensions = append(a.Extensions, *ext)
	return nil
}

// oldExtension reads an attribute whose type is that of an extension, as servers
// sent before RFC 9908. Its one value is the extension's, by itself or in an
// OCTET STRING.
func (r *attrsReader) oldExtension(part string, item *Attribute) error {
	values := der.Cursor{Rest: item.Values}
	value, err := values.Any()
	if err != nil || !values.Empty() {
		r.attrs.Items = append(r.attrs.Items, *item)
		return nil
	}
	ext := Extension{ID: item.ID, OID: item.OID, Value: value.Raw}
	if value.Tag == der.TagOctetString {
		if _, rest, err := der.Next(value.Body); err == nil && len(rest) == 0 {
			ext.Value = value.Body
		}
	}
	return r.addExtension(part, &ext)
}

func (r *attrsReader) template(part string, values *der.Cursor) error {
	if r.attrs.Template != nil {
		return problem(objCSRAttrs, part, "is there twice (RFC 9908 §3.4)")
	}
	t, err := readTemplate(values, r.limits)
	if err != nil {
		return err
	}
	if values.End() != nil {
		return problem(objCSRAttrs, part, "has several values where one is allowed (RFC 9908 §3.4)")
	}
	r.attrs.Template = t
	return nil
}
