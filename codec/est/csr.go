package est

import "github.com/vouchmill/vouchmill/codec/internal/der"

// A CSR is a PKCS#10 certification request taken apart (RFC 2986 §4). Its byte
// slices are views into what was parsed. Nothing is verified: the caller checks
// Signature over Info with PublicKey.
type CSR struct {
	Raw       []byte // the whole request, DER
	Info      []byte // CertificationRequestInfo, DER: what is signed
	Subject   []byte // Name, DER
	PublicKey []byte // SubjectPublicKeyInfo, DER
	Key       Key    // the kind of PublicKey

	SignatureOID    []byte // signature algorithm, value octets
	SignatureID     string // the same, dotted
	SignatureParams []byte // its parameters, DER; nil when absent
	Signature       []byte // octets of the BIT STRING; for ECDSA a DER Ecdsa-Sig-Value

	Name              []NameAttribute // the attributes of Subject, in order
	Attributes        []Attribute     // all attributes, in order
	Extensions        []Extension     // those of extensionRequest, in order
	ChallengePassword []byte          // octets of its string; nil when absent
}

// An Attribute is one of a request (RFC 2986 §4.1) or one of CSR attributes.
type Attribute struct {
	ID     string // type, dotted
	OID    []byte // type, value octets; not used when writing
	Values []byte // the elements of the SET OF, one after the other; nil for a bare OID of CSR attributes
}

// Extension returns the requested extension of the given type, nil when the
// request has none.
func (r *CSR) Extension(id string) *Extension { return FindExtension(r.Extensions, id) }

// SerialNumbers returns the text of every serialNumber attribute of the subject, in order.
func (r *CSR) SerialNumbers() []string { return SerialNumbers(r.Name) }

// ParseCSR takes a PKCS#10 certification request apart. It must be DER and
// nothing may follow it; only the order inside a SET OF is not judged, since some
// writers do not sort and the signature covers what they wrote, and the values of
// extensions and of unknown attributes are not looked into. The version must be
// 0; extensionRequest and challengePassword come once at most, and no extension
// comes twice. The error is a *DecodeError or a *codec.LimitError.
func ParseCSR(request []byte, lim Limits) (*CSR, error) {
	lim = lim.withDefaults()
	if err := within("CSRBytes", lim.CSRBytes, len(request)); err != nil {
		return nil, err
	}
	outer := der.Cursor{Rest: request}
	c, err := outer.Enter(der.TagSequence)
	if err == nil {
		err = outer.End()
	}
	if err != nil {
		return nil, fault(objCSR, "", err)
	}
	r := &CSR{Raw: request}
	info, err := c.Read(der.TagSequence)
	if err != nil {
		return nil, fault(objCSR, "certificationRequestInfo", err)
	}
	r.Info = info.Raw
	if err = r.parseInfo(info.Body, &lim); err != nil {
		return nil, err
	}
	if err = r.parseSignature(&c); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *CSR) parseSignature(c *der.Cursor) error {
	alg, err := c.Enter(der.TagSequence)
	if err != nil {
		return fault(objCSR, "signatureAlgorithm", err)
	}
	if r.SignatureOID, r.SignatureID, err = readOID(&alg); err != nil {
		return fault(objCSR, "signatureAlgorithm", err)
	}
	if !alg.Empty() {
		params, err := alg.Any()
		if err == nil {
			err = alg.End()
		}
		if err != nil {
			return fault(objCSR, "signatureAlgorithm", err)
		}
		r.SignatureParams = params.Raw
	}
	if r.Signature, err = readBitString(c); err == nil {
		err = c.End()
	}
	if err != nil {
		return fault(objCSR, "signature", err)
	}
	return nil
}

// parseInfo reads CertificationRequestInfo (RFC 2986 §4.1).
func (r *CSR) parseInfo(info []byte, lim *Limits) error {
	c := der.Cursor{Rest: info}
	if err := readVersion(objCSR, &c); err != nil {
		return err
	}
	subject, err := c.Read(der.TagSequence)
	if err != nil {
		return fault(objCSR, "subject", err)
	}
	r.Subject = subject.Raw
	if r.Name, err = parseName(objCSR, "subject", subject.Body, lim.RDNs, false); err != nil {
		return err
	}
	key, err := c.Read(der.TagSequence)
	if err == nil {
		r.PublicKey = key.Raw
		r.Key, err = parseKey(key.Raw)
	}
	if err != nil {
		return fault(objCSR, "subjectPKInfo", err)
	}
	attributes, err := c.Enter(der.ContextConstructed)
	if err == nil {
		err = c.End()
	}
	if err != nil {
		return fault(objCSR, "attributes", err)
	}
	for !attributes.Empty() {
		if err := within("CSRAttributes", lim.CSRAttributes, len(r.Attributes)+1); err != nil {
			return err
		}
		a, err := readAttribute(&attributes)
		if err != nil {
			return fault(objCSR, "attributes", err)
		}
		r.Attributes = append(r.Attributes, a)
		if err = r.knownAttribute(&a, lim); err != nil {
			return err
		}
	}
	return nil
}

// readVersion reads the version of a request or of a template, which is v1(0).
func readVersion(object string, c *der.Cursor) error {
	e, err := c.Read(der.TagInteger)
	if err != nil {
		return fault(object, "version", err)
	}
	if v, err := der.SmallInteger(e.Body); err != nil || v != 0 {
		return problem(object, "version", "is not v1(0)")
	}
	return nil
}

func readAttribute(c *der.Cursor) (a Attribute, err error) {
	seq, err := c.Enter(der.TagSequence)
	if err != nil {
		return a, err
	}
	if a.OID, a.ID, err = readOID(&seq); err != nil {
		return a, err
	}
	values, err := seq.Enter(der.TagSet)
	if err != nil {
		return a, err
	}
	a.Values = values.Rest
	for !values.Empty() {
		if _, err = values.Any(); err != nil {
			return a, err
		}
	}
	return a, seq.End()
}

// knownAttribute reads the two attributes that EST uses, each of which has one
// value (RFC 2985 §5.4). Others are kept and mean nothing here.
func (r *CSR) knownAttribute(a *Attribute, lim *Limits) error {
	part := "attribute " + a.ID
	values := der.Cursor{Rest: a.Values}
	if values.Empty() {
		return problem(objCSR, part, "has no value")
	}
	if a.ID != OIDExtensionRequest && a.ID != OIDChallengePassword {
		return nil
	}
	for i := range len(r.Attributes) - 1 {
		if r.Attributes[i].ID == a.ID {
			return problem(objCSR, part, "is there twice")
		}
	}
	var err error
	if a.ID == OIDExtensionRequest {
		if r.Extensions, err = readExtensions(objCSR, part, &values, lim.Extensions, false); err != nil {
			return err
		}
	} else if r.ChallengePassword, err = readChallenge(&values); err != nil {
		return err
	}
	if values.End() != nil {
		return problem(objCSR, part, "has several values where one is allowed")
	}
	return nil
}

// readChallenge reads a challengePassword: a DirectoryString by RFC 2985
// §5.4.1, of up to 255 characters; IA5String is met too.
func readChallenge(values *der.Cursor) ([]byte, error) {
	const part = "attribute " + OIDChallengePassword
	const most = 4 * 255 // octets, at four to a character
	e, err := values.Any()
	if err != nil {
		return nil, fault(objCSR, part, err)
	}
	a := NameAttribute{Tag: e.Tag, Value: e.Body}
	if _, ok := a.Text(); !ok || len(e.Body) == 0 || len(e.Body) > most {
		return nil, problem(objCSR, part, "is not a string of 1 to 255 characters")
	}
	return e.Body, nil
}
