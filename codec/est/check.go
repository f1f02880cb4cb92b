package est

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Check reports whether a request follows the attributes. The error is a
// *PolicyError that names the first item it does not follow. With a template only
// the template counts (RFC 9908 §4); a server that sends both and also serves
// clients that know no templates asks a.List().Check next.
//
// Of a template is checked:
//   - the subject has its RDNs, in its order. A given value is the same text,
//     whatever string type holds it; a value left open is there and not empty.
//     A type the template names stands nowhere else; RDNs of other types may be
//     added, and it is the CA's profile that judges them;
//   - the key is of the kind asked for;
//   - each extension is asked for, critical where the template says so, with the
//     given value octet for octet; a value left open is there; names left open in a
//     subjectAltName are filled in, all others are as given. Further extensions
//     are left to the CA's profile.
//
// Of a list is checked that challengePassword is there when asked for, that the
// key is one of the kinds, that each extension is there as above, that the
// signature algorithm is one of those listed, or uses a hash listed, and that the
// subject has a serialNumber or commonName asked for by bare OID. Other items a
// client may ignore, so they are not checked.
//
// That a request passes says nothing about who made it, nor that a CA may issue
// what it asks for.
func (a *CSRAttrs) Check(r *CSR) error {
	if t := a.Template; t != nil {
		if err := checkSubject(t.Subject, r.Name); err != nil {
			return err
		}
		if !r.Key.Satisfies(t.Key) {
			return &PolicyError{"key", t.Key.String(), r.Key.String()}
		}
		return checkExtensions(t.Extensions, r)
	}
	if a.ChallengePassword && r.ChallengePassword == nil {
		return &PolicyError{"challengePassword", "one (RFC 7030 §3.5)", "none"}
	}
	if len(a.Keys) > 0 && !slices.ContainsFunc(a.Keys, r.Key.Satisfies) {
		return &PolicyError{"key", keyNames(a.Keys), r.Key.String()}
	}
	if len(a.Signatures) > 0 && !slices.ContainsFunc(a.Signatures, r.signedWith) {
		return &PolicyError{"signature algorithm", strings.Join(a.Signatures, " or "), r.SignatureID}
	}
	for i := range a.Items {
		if id := a.Items[i].ID; a.Items[i].Values == nil && inSubject(id) && !hasAttribute(r.Name, id) {
			return &PolicyError{"subject attribute " + id, "one", "none"}
		}
	}
	return checkExtensions(a.Extensions, r)
}

// inSubject reports whether a bare OID of a list asks for an attribute of the
// subject that this package knows how to fill in.
func inSubject(id string) bool { return id == OIDSerialNumber || id == OIDCommonName }

func hasAttribute(name []NameAttribute, id string) bool {
	return slices.ContainsFunc(name, func(a NameAttribute) bool { return a.ID == id })
}

func keyNames(keys []Key) string {
	names := make([]string, len(keys))
	for i := range keys {
		names[i] = keys[i].String()
	}
	return strings.Join(names, " or ")
}

// signedWith reports whether the request is signed with the given signature
// algorithm, or with one that uses the given hash.
func (r *CSR) signedWith(id string) bool {
	if r.SignatureID == id {
		return true
	}
	switch id {
	case OIDSHA256:
		return r.SignatureID == OIDECDSAWithSHA256 || r.SignatureID == OIDSHA256WithRSA
	case OIDSHA384:
		return r.SignatureID == OIDECDSAWithSHA384 || r.SignatureID == OIDSHA384WithRSA
	case OIDSHA512:
		return r.SignatureID == OIDECDSAWithSHA512 || r.SignatureID == OIDSHA512WithRSA
	}
	return false
}

// rdns returns the attributes RDN by RDN.
func rdns(name []NameAttribute) [][]NameAttribute {
	var list [][]NameAttribute
	for start, i := 0, 1; i <= len(name); i++ {
		if i == len(name) || name[i].RDN != name[start].RDN {
			list = append(list, name[start:i])
			start = i
		}
	}
	return list
}

// checkSubject holds the RDNs of a name that have a type the template names
// against the template.
func checkSubject(template, name []NameAttribute) error {
	if template == nil {
		return nil
	}
	if len(template) == 0 && len(name) > 0 {
		return &PolicyError{"subject", "an empty one", fmt.Sprintf("%d attributes", len(name))}
	}
	var got [][]NameAttribute
	for _, rdn := range rdns(name) {
		if slices.ContainsFunc(rdn, func(a NameAttribute) bool { return hasAttribute(template, a.ID) }) {
			got = append(got, rdn)
		}
	}
	want := rdns(template)
	for i, rdn := range want {
		if i == len(got) {
			return &PolicyError{"subject attribute " + rdn[0].ID, "one more", "the end of the subject"}
		}
		if err := checkRDN(rdn, got[i]); err != nil {
			return err
		}
	}
	if len(got) > len(want) {
		extra := &got[len(want)][0]
		return &PolicyError{"subject attribute " + extra.ID, "no more of them", quoted(extra)}
	}
	return nil
}

// checkRDN holds one RDN against the template's. Attributes with a given value
// choose first, in any order, as the order inside a SET OF means nothing.
func checkRDN(template, rdn []NameAttribute) error {
	used := make([]bool, len(rdn))
	for _, open := range [...]bool{false, true} {
		for i := range template {
			want := &template[i]
			if (want.Tag == 0) != open {
				continue
			}
			at := slices.IndexFunc(rdn, func(a NameAttribute) bool { return a.ID == want.ID })
			for at >= 0 && at < len(rdn) && (used[at] || !fits(&rdn[at], want)) {
				at++
			}
			if at < 0 || at == len(rdn) {
				return subjectMismatch(want, rdn)
			}
			used[at] = true
		}
	}
	if len(rdn) > len(template) {
		return &PolicyError{"subject attribute " + template[0].ID, fmt.Sprintf("an RDN of %d", len(template)), fmt.Sprintf("one of %d", len(rdn))}
	}
	return nil
}

// fits reports whether an attribute is what the template's is or leaves open.
func fits(got, want *NameAttribute) bool {
	if want.Tag == 0 {
		return got.ID == want.ID && len(got.Value) > 0
	}
	return sameAttribute(got, want)
}

func subjectMismatch(want *NameAttribute, rdn []NameAttribute) error {
	e := &PolicyError{Item: "subject attribute " + want.ID, Want: "a value", Got: rdn[0].ID}
	if want.Tag != 0 {
		e.Want = quoted(want)
	}
	for i := range rdn {
		if rdn[i].ID == want.ID {
			e.Got = quoted(&rdn[i])
			break
		}
	}
	return e
}

func checkExtensions(want []Extension, r *CSR) error {
	for i := range want {
		ext := &want[i]
		item := "extension " + ext.ID
		got := r.Extension(ext.ID)
		switch {
		case got == nil:
			return &PolicyError{item, "it asked for", "nothing"}
		case ext.Critical && !got.Critical:
			return &PolicyError{item, "critical", "not critical"}
		case ext.Value == nil && len(got.Value) == 0:
			return &PolicyError{item, "a value", "an empty one"}
		case ext.Value == nil:
		case hasBlanks(ext):
			if !fillsBlanks(got.Value, ext.Value) {
				return &PolicyError{item, shown(ext.Value) + " with its empty names filled in", shown(got.Value)}
			}
		case !bytes.Equal(ext.Value, got.Value):
			return &PolicyError{item, shown(ext.Value), shown(got.Value)}
		}
	}
	return nil
}
