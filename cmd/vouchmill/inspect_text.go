package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec"
)

// outline is text whose lines are indented by depth.
type outline struct {
	strings.Builder
	depth int
}

func (o *outline) line(format string, a ...any) {
	o.WriteString(strings.Repeat("  ", o.depth))
	fmt.Fprintf(o, format+"\n", a...)
}

// reportText tells people what Inspect found.
func reportText(r *codec.Report) string {
	o := new(outline)
	o.report(r)
	return o.String()
}

func (o *outline) report(r *codec.Report) {
	what := "bare payload"
	if r.Format != "" {
		what = strings.ToUpper(r.Format) + " envelope"
	}
	if r.Wrapping != "" {
		what += " in " + r.Wrapping
	}
	if r.ContentType != "" {
		what += ", content type " + r.ContentType
	}
	o.line("%s, %d octets", what, r.Octets)
	for i, s := range r.Signers {
		o.signer(i, &s)
	}
	for i, c := range r.Certificates {
		o.certificate(fmt.Sprintf("certificate %d", i), &c)
	}
	if r.Payload != nil {
		o.payload(r.Payload)
	}
	for _, odd := range r.Oddities {
		o.line("odd: %s (%s)", odd.Text, odd.Code)
	}
	for _, p := range r.Problems {
		o.line("PROBLEM: %s (%s)", p.Text, p.Code)
	}
}

func (o *outline) signer(i int, s *codec.ReportSigner) {
	by := "named by nothing"
	switch {
	case s.Certificate != nil:
		by = fmt.Sprintf("certificate %d", *s.Certificate)
	case s.SubjectKeyIdentifier != "":
		by = "the holder of key " + s.SubjectKeyIdentifier
	case s.KeyID != "":
		by = "the holder of key " + s.KeyID
	case s.SerialNumber != "":
		by = "a certificate with serial " + s.SerialNumber + ", which is not inside"
	}
	o.line("signature %d: %s, %d octets, by %s; not verified", i, s.Algorithm, s.SignatureOctets, by)
	if s.SigningTime != nil {
		o.line("  signing time %s", s.SigningTime.Format(time.RFC3339))
	}
}

func (o *outline) certificate(label string, c *codec.ReportCertificate) {
	if c.Error != "" {
		o.line("%s: cannot be read: %s", label, c.Error)
		return
	}
	o.line("%s: %s", label, c.Subject)
	o.depth++
	defer func() { o.depth-- }()
	o.line("issuer %s, serial %s, %s", c.Issuer, c.Serial, c.Key)
	if c.NotBefore != nil && c.NotAfter != nil {
		o.line("valid from %s to %s", c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339))
	}
	for _, s := range c.DeviceSerials {
		o.line("device serial number %q", s)
	}
	for _, h := range c.HardwareModules {
		o.line("hardware module %s", h)
	}
	if c.MASAURL != "" {
		o.line("MASA URL %s", c.MASAURL)
	}
}

func (o *outline) payload(p *codec.ReportPayload) {
	kind := p.Artefact
	if kind == "" {
		kind = "something else"
	}
	o.line("payload: %s, %s %q, %d octets", kind, p.Encoding, p.TopLevel, p.Octets)
	o.depth++
	defer func() { o.depth-- }()
	if p.SIDFamily != "" {
		o.line("SIDs of an abandoned draft: %s", p.SIDFamily)
	}
	for i := range p.Leaves {
		o.leaf(&p.Leaves[i])
	}
}

func (o *outline) leaf(l *codec.ReportLeaf) {
	value := ""
	switch {
	case l.Text != nil:
		value = fmt.Sprintf("%q", *l.Text)
	case l.Binary != nil:
		value = binaryText(*l.Binary)
	case l.List != nil:
		value = strings.Join(l.List, ", ")
	}
	if l.Unknown {
		value += " (unknown leaf)"
	}
	o.line("%s: %s", l.Name, value)
	o.depth++
	defer func() { o.depth-- }()
	for i := range l.Certificates {
		o.certificate("certificate", &l.Certificates[i])
	}
	if l.Inner != nil {
		o.report(l.Inner)
	}
}

// binaryText shows short octet strings whole and of long ones the size.
func binaryText(b64 string) string {
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || len(b) > 48 {
		return fmt.Sprintf("%d octets", base64.StdEncoding.DecodedLen(len(b64)))
	}
	return hex.EncodeToString(b)
}
