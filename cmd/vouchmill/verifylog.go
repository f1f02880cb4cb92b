package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/audit"
)

// Limits on what verify-log reads, in octets.
const (
	maxLogAnswer = 1 << 20 // as audit.Limits has it
	maxLogKeys   = 16 << 10
)

const verifyLogLong = `Verify a saved answer to requestauditlog (RFC 8995 §5.8), or its member
vouchmill-log alone, against the key of the MASA's log: that the head is signed,
that every event shown is in the log of that head, and that the answer says of each
what the log says. With --older-head, a head seen before or a whole answer that was
kept, it verifies that nothing in the log was changed or taken out since: the MASA
makes the proof of that, given with --consistency, which two heads of one size do
not need.

It does not show that no event of the device was left out of the answer; and that
an imported run holds the device is the MASA's word.

Exit code 1: something does not hold, or there is nothing that proves it.`

// verifyLogOptions are the flags of verify-log.
type verifyLogOptions struct {
	keys                       []string
	older, consistency, serial string
	asJSON                     bool
}

func newVerifyLog() *cobra.Command {
	var o verifyLogOptions
	cmd := &cobra.Command{
		Use:   "verify-log --key FILE|KEY ANSWER|-",
		Short: "Verify a MASA's audit log: proofs of an answer, consistency of two heads",
		Long:  verifyLogLong,
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.keys, "key", nil, "verifier key of the log, ORIGIN+HASH+KEY, or a file of them, one a line (repeat for more, as after a change of keys)")
	f.StringVar(&o.older, "older-head", "", "file with a signed head seen before, or an answer that holds one")
	f.StringVar(&o.consistency, "consistency", "", "file with the proof that the log of the answer's head begins with that of the older one")
	f.StringVar(&o.serial, "serial", "", "serial number of the device whose answer it must be")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	cobra.CheckErr(cmd.MarkFlagRequired("key"))
	return cmd
}

func (o *verifyLogOptions) run(cmd *cobra.Command, path string) error {
	if o.consistency != "" && o.older == "" {
		return usageError("--consistency proves something of two heads; give the other with --older-head")
	}
	verifier, err := logVerifier(o.keys)
	if err != nil {
		return err
	}
	answer, err := readAnswer(cmd, path)
	if err != nil {
		return err
	}
	var older, proof []byte
	if o.older != "" {
		if older, err = program.ReadFile(o.older, maxLogAnswer); err != nil {
			return fmt.Errorf("--older-head: %w", err)
		}
	}
	if o.consistency != "" {
		if proof, err = program.ReadFile(o.consistency, audit.MaxConsistency); err != nil {
			return fmt.Errorf("--consistency: %w", err)
		}
	}
	found, err := o.verify(verifier, answer, older, proof)
	if err == nil {
		return o.print(cmd.OutOrStdout(), verifier.Origin(), found)
	}
	if !o.asJSON {
		return program.Failedf("%s: %w", path, err)
	}
	failed := &exitError{Code: exitFailed}
	if err := json.NewEncoder(cmd.OutOrStdout()).Encode(logReport{Log: verifier.Origin(), Reason: err.Error()}); err != nil {
		return ioError(err)
	}
	return failed
}

// verify checks all that is asked for. Its errors are of things that do not hold.
func (o *verifyLogOptions) verify(v *audit.Verifier, answer, older, proof []byte) (*audit.Evidence, error) {
	if older = bytes.TrimLeft(older, " \t\r\n"); len(older) > 0 && older[0] == '{' {
		kept, err := audit.VerifyFiles(v, older, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("--older-head: %w", err)
		}
		older = kept.Signed
	} else if o.older != "" && older == nil {
		older = []byte{} // an empty file is no head, and not the same as none asked for
	}
	found, err := audit.VerifyFiles(v, answer, older, proof)
	if err != nil {
		return nil, err
	}
	for i := range found.Entries {
		e := found.Entries[i].Event
		if o.serial != "" && e.Kind == audit.VoucherIssued && e.Device.Serial != o.serial {
			return nil, fmt.Errorf("event %d is of the device with serial number %q, not of %q", found.Entries[i].Index, e.Device.Serial, o.serial)
		}
	}
	return found, nil
}

// logVerifier reads keys, each as text or from a file.
func logVerifier(flags []string) (*audit.Verifier, error) {
	var keys []string
	for _, flag := range flags {
		if _, err := audit.NewVerifier(flag); err == nil {
			keys = append(keys, flag)
			continue
		}
		if secretKey(flag) {
			return nil, usageError("--key: that is the key that signs the log, and secret; it takes the verifier key")
		}
		text, err := program.ReadFile(flag, maxLogKeys)
		if err != nil {
			return nil, fmt.Errorf("--key: neither a verifier key nor a file that can be read: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if secretKey(line) {
				return nil, usageError("--key: %s holds the key that signs the log, which is secret; it takes the verifier key", flag)
			}
			keys = append(keys, line)
		}
	}
	v, err := audit.NewVerifier(keys...)
	if err != nil {
		return nil, usageError("--key: %w", err)
	}
	return v, nil
}

// secretKey reports whether text is a signer's key in the form of package
// golang.org/x/mod/sumdb/note.
func secretKey(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "PRIVATE+") }

// readAnswer reads the answer from a file or standard input.
func readAnswer(cmd *cobra.Command, path string) ([]byte, error) {
	if path != "-" {
		return program.ReadFile(path, maxLogAnswer)
	}
	b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxLogAnswer+1))
	if err == nil && len(b) > maxLogAnswer {
		return nil, usageError("standard input has more than %d octets; no answer to requestauditlog is that large", maxLogAnswer)
	}
	return b, ioError(err)
}

// A logReport is what --json prints. The names are stable.
type logReport struct {
	Holds  bool       `json:"holds"`
	Reason string     `json:"reason,omitempty"` // when it does not hold
	Log    string     `json:"log"`
	Head   *logHead   `json:"head,omitempty"`
	Older  *logHead   `json:"older-head,omitempty"`
	Device *logDevice `json:"device,omitempty"` // when all vouchers are of one
	Events []logEvent `json:"events,omitempty"`
}

type logHead struct {
	Size   uint64 `json:"size"`
	Root   []byte `json:"root"`
	Signed string `json:"signed,omitempty"` // as --older-head takes it
}

type logDevice struct {
	IssuerKeyID string `json:"issuer-key-id"` // hexadecimal
	Serial      string `json:"serial-number"`
}

type logEvent struct {
	Index     uint64     `json:"index"`
	Kind      string     `json:"kind"` // voucher or run
	Date      time.Time  `json:"date"`
	Assertion string     `json:"assertion"`
	Device    *logDevice `json:"device,omitempty"`     // of a voucher
	DomainIDs [][]byte   `json:"domainIDs"`            // one of a voucher
	Nonce     *string    `json:"nonce,omitempty"`      // of a voucher that has one
	Manifest  string     `json:"manifest,omitempty"`   // of a run: the root, hexadecimal
	Created   *time.Time `json:"created-on,omitempty"` // of a run's vouchers
	Expires   *time.Time `json:"expires-on,omitempty"`
}

// print says what holds.
func (o *verifyLogOptions) print(w io.Writer, origin string, found *audit.Evidence) error {
	r := logReport{Holds: true, Log: origin, Head: &logHead{found.Head.Size, found.Head.Root[:], string(found.Signed)}, Events: make([]logEvent, len(found.Entries))}
	if found.Older != nil {
		r.Older = &logHead{Size: found.Older.Size, Root: found.Older.Root[:]}
	}
	if id := found.Device; id != nil {
		r.Device = &logDevice{hex.EncodeToString([]byte(id.IssuerKeyID)), id.Serial}
	}
	for i := range found.Entries {
		r.Events[i] = reportEntry(&found.Entries[i])
	}
	if o.asJSON {
		return ioError(json.NewEncoder(w).Encode(r))
	}
	out := bufio.NewWriter(w)
	r.text(out)
	return ioError(out.Flush())
}

func reportEntry(p *audit.ProofEntry) logEvent {
	e := p.Event
	v := logEvent{Index: p.Index, Kind: "voucher", Date: e.Date, Assertion: e.Assertion.String(), Nonce: e.Nonce}
	if e.Kind != audit.RunImported {
		v.Device = &logDevice{hex.EncodeToString([]byte(e.Device.IssuerKeyID)), e.Device.Serial}
		v.DomainIDs = [][]byte{e.DomainID}
		return v
	}
	v.Kind, v.DomainIDs, v.Manifest, v.Created = "run", e.DomainIDs, hex.EncodeToString(e.Manifest), &e.CreatedOn
	if !e.ExpiresOn.IsZero() {
		v.Expires = &e.ExpiresOn
	}
	return v
}

// text writes the report for people. What strangers chose is quoted.
func (r *logReport) text(w io.Writer) {
	for i := range r.Events {
		r.Events[i].text(w)
	}
	fmt.Fprintf(w, "log %s: %d events, root %s, signed\n", r.Log, r.Head.Size, base64.StdEncoding.EncodeToString(r.Head.Root))
	if r.Older != nil {
		fmt.Fprintf(w, "it begins with the log of the older head: %d events, root %s\n", r.Older.Size, base64.StdEncoding.EncodeToString(r.Older.Root))
	}
	switch {
	case r.Device != nil:
		fmt.Fprintf(w, "holds: %d events are in the log, vouchers of device %s/%q\n", len(r.Events), r.Device.IssuerKeyID, r.Device.Serial)
	default:
		fmt.Fprintf(w, "holds: %d events are in the log\n", len(r.Events))
	}
}

func (e *logEvent) text(w io.Writer) {
	fmt.Fprintf(w, "event %d: %s, ", e.Index, e.Date.Format(time.RFC3339))
	if e.Kind == "run" {
		fmt.Fprintf(w, "a run of vouchers of %s, manifest %s, ", e.Created.Format(time.RFC3339), e.Manifest)
		if e.Expires != nil {
			fmt.Fprintf(w, "until %s, ", e.Expires.Format(time.RFC3339))
		}
	} else {
		fmt.Fprintf(w, "a voucher for device %s/%q, ", e.Device.IssuerKeyID, e.Device.Serial)
		if e.Nonce != nil {
			fmt.Fprintf(w, "nonce %q, ", *e.Nonce)
		} else {
			fmt.Fprint(w, "without nonce, ")
		}
	}
	fmt.Fprint(w, e.Assertion, ", domainID")
	for _, id := range e.DomainIDs {
		fmt.Fprint(w, " ", base64.StdEncoding.EncodeToString(id))
	}
	fmt.Fprintln(w)
}
