// Package kit makes the project's test kit: good and bad vouchers, requests,
// payloads, device lists, certificates, keys, profiles, messages of EST and audit
// logs, each with the result a correct implementation comes to. ../INDEX.md tells how to use the files;
// ../generate writes them.
//
// The vouchers are put together here from DER, JSON and CBOR by hand, not by the
// encoders they are to test. Everything follows from fixed seeds: keys are
// derived from their names, signatures are deterministic (RFC 6979, RFC 8032,
// PKCS #1 v1.5), so [Build] returns the same octets on every machine.
package kit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// At is the time at which all cases are judged.
var At = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

// An Index describes all files of the kit.
type Index struct {
	Version int `json:"version"`
	// At is the time of validation, Trust the files with the trust anchors.
	At    time.Time `json:"at"`
	Trust []string  `json:"trust"`
	// Passphrase opens the encrypted keys.
	Passphrase string `json:"passphrase"`
	Cases      []Case `json:"cases"`
}

// The kinds of artefacts.
const (
	KindVoucher        = "voucher"         // signed, in an envelope
	KindRequest        = "voucher-request" // signed, in an envelope
	KindPayload        = "payload"         // of a voucher, bare
	KindRequestPayload = "request-payload" // of a voucher-request, bare
	KindList           = "device-list"
	KindIDevID         = "idevid"
	KindKey            = "key"
	KindChain          = "chain"
	KindProfile        = "profile"
	KindHeader         = "run-header"
	KindManifest       = "manifest"
	KindProof          = "proof"
	KindBundle         = "bundle"
	KindCSR            = "certificate-request"
	KindCSRAttrs       = "csr-attributes"
	KindCertsOnly      = "certs-only"
	KindAuditLog       = "audit-log"
	KindLogKey         = "audit-log-key"
)

// A Case is one file with its expected result.
type Case struct {
	File  string `json:"file"`
	Kind  string `json:"kind"`
	About string `json:"about"` // what is special about it
	// Accept is the verdict. Where it is false, Check is the step that refuses
	// and Reason, where that step knows several, which it is.
	Accept bool   `json:"accept"`
	Check  string `json:"check,omitempty"`
	Reason string `json:"reason,omitempty"`

	// Format is "cms", "jws" or "cose", Encoding "json" or "cbor".
	Format   string `json:"format,omitempty"`
	Encoding string `json:"encoding,omitempty"`
	// Leaves are those of an accepted payload: text, RFC 3339 dates in UTC,
	// names of enumerations, "true" and "false"; of binary values the SHA-256, as
	// "sha256:" and hexadecimal digits.
	Leaves map[string]string `json:"leaves,omitempty"`
	// Oddities are unusual and no reason to refuse.
	Oddities []string `json:"oddities,omitempty"`
	// Helper is a file with the certificate of a signer the envelope lacks, or with
	// the key of the log of an answer that is proven.
	Helper string `json:"helper,omitempty"`

	// Rows are what a device list yields, in order.
	Rows []Row `json:"rows,omitempty"`
	// Facts are what an IDevID certificate states.
	Facts *Facts `json:"facts,omitempty"`
	// Algorithm is that of a key.
	Algorithm string `json:"algorithm,omitempty"`
	// Certificates counts those of a chain or a certs-only message, Vouchers those
	// of a bundle, Events those of an audit log.
	Certificates int `json:"certificates,omitempty"`
	Vouchers     int `json:"vouchers,omitempty"`
	Events       int `json:"events,omitempty"`
}

// A Row is a device, or a row that cannot be used.
type Row struct {
	Line      uint64 `json:"line"` // 1-based line, item or certificate
	Serial    string `json:"serial-number,omitempty"`
	Issuer    string `json:"idevid-issuer,omitempty"` // hexadecimal, 04 LL 30 ..
	Pin       string `json:"pinned-domain-cert,omitempty"`
	ExpiresOn string `json:"expires-on,omitempty"`
	// Refused is the column at fault, or "row".
	Refused string `json:"refused,omitempty"`
}

// Facts are what an IDevID certificate states.
type Facts struct {
	SerialNumbers   []string `json:"serial-numbers,omitempty"` // of the subject
	HardwareModules []string `json:"hardware-modules,omitempty"`
	Issuer          string   `json:"idevid-issuer,omitempty"` // hexadecimal
	MASAURL         string   `json:"masa-url,omitempty"`
}

// builder collects files and cases.
type builder struct {
	pki   *pki
	files map[string][]byte
	cases []Case
}

// add puts one file with its case into the kit.
func (b *builder) add(content []byte, c Case) {
	if _, twice := b.files[c.File]; twice {
		panic(fmt.Sprintf("kit: %s is made twice", c.File))
	}
	b.files[c.File] = content
	b.cases = append(b.cases, c)
}

// good and bad add a case of a kind and format.
func (b *builder) good(content []byte, c Case) {
	c.Accept = true
	b.add(content, c)
}

func (b *builder) bad(content []byte, check, reason string, c Case) {
	c.Check, c.Reason = check, reason
	b.add(content, c)
}

// Build makes the kit: all files by their names with slashes, index.json among
// them.
func Build() (map[string][]byte, error) {
	p, err := newPKI()
	if err != nil {
		return nil, err
	}
	b := &builder{pki: p, files: map[string][]byte{}}
	b.certificates()
	b.cmsCases()
	b.jwsCases()
	b.coseCases()
	b.wrappedCases()
	b.payloadCases()
	b.idevidCases()
	b.listCases()
	b.profileCases()
	for _, more := range []func() error{b.keyCases, b.recordCases, b.estCases} {
		if err := more(); err != nil {
			return nil, err
		}
	}
	b.auditCases()
	index := Index{Version: 1, At: At, Trust: []string{"certs/manufacturer-ca.pem"}, Passphrase: passphrase, Cases: b.cases}
	text, err := marshal(index)
	if err != nil {
		return nil, err
	}
	files := maps.Clone(b.files)
	files["index.json"] = text
	return files, nil
}

// marshal writes the index with one line a field and no escapes for HTML.
func marshal(index Index) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(index)
	return out.Bytes(), err
}

// Names lists the files of a kit in order.
func Names(files map[string][]byte) []string { return slices.Sorted(maps.Keys(files)) }
