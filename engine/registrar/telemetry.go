package registrar

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
)

// telemetryNote is a status message a device sent. It is kept for people:
// nothing is decided by it (RFC 8995 §5.7).
type telemetryNote struct {
	At        int64  `cbor:"1,keyasint"`
	Operation string `cbor:"2,keyasint"` // "voucher_status" or "enrollstatus"
	OK        bool   `cbor:"3,keyasint,omitempty"`
	Text      string `cbor:"4,keyasint,omitempty"`
}

// VoucherStatus takes what a pledge says about its voucher (RFC 8995 §5.7). The
// answer has no body. The error is a *decision.Refusal.
func (s *Service) VoucherStatus(ctx context.Context, r *exchange.Request) (*exchange.Answer, error) {
	return s.telemetry(ctx, r, "voucher_status")
}

// EnrollStatus takes what a pledge says about its enrolment (RFC 8995 §5.9.4),
// over the connection it enrolled on or a new one with its LDevID. The answer
// has no body. The error is a *decision.Refusal.
func (s *Service) EnrollStatus(ctx context.Context, r *exchange.Request) (*exchange.Answer, error) {
	return s.telemetry(ctx, r, "enrollstatus")
}

func (s *Service) telemetry(ctx context.Context, r *exchange.Request, operation string) (*exchange.Answer, error) {
	a := s.attempt(operation, r)
	a.silent = true
	answer, err := s.takeTelemetry(ctx, a)
	return a.finish(ctx, answer, err)
}

func (s *Service) takeTelemetry(ctx context.Context, a *attempt) (*exchange.Answer, error) {
	leaf, ours, err := a.reporter(ctx)
	if err != nil {
		return nil, err
	}
	if a.r.ContentType != "" && !artefact.IsMediaType(a.r.ContentType, exchange.TypeJSON) {
		return nil, decision.Refuse(decision.ContentType, "Content-Type is %.100q, want %s", a.r.ContentType, exchange.TypeJSON)
	}
	status, err := parseStatus(a.r.Body)
	if err != nil {
		return nil, err
	}
	note := telemetryNote{At: a.r.Now.Unix(), Operation: a.operation, OK: status.ok}
	known := false
	err = s.cfg.DB.Update(ctx, func(tx state.Tx) (err error) {
		key := deviceKey(prefixDevice, *a.id)
		dev, found, err := get[deviceRecord](tx, key)
		if known = found && (a.who == nil || dev.foreign(a.who) == nil); err != nil || !known {
			return err
		}
		note.Text = status.text(dev.presented(leaf, ours))
		dev.Reports = last(append(dev.Reports, note), maxReports)
		return put(tx, key, &dev)
	})
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, decision.Refuse(decision.UnknownDevice, "device %s never asked for a voucher here", a.id)
	}
	e := Event{Name: a.operation, Request: a.r.ID, Device: a.id.String(), Text: note.Text}
	switch {
	case !status.ok:
		e.Level, e.Text = Alarm, "the device reports a failure: "+note.Text
	case status.newer:
		e.Level = Warning
	}
	s.observe(e)
	return answered("", nil), nil
}

// reporter finds out whose status this is: with which certificate it came, and
// whether that is one of this domain.
func (a *attempt) reporter(ctx context.Context) (leaf *x509.Certificate, ours bool, err error) {
	if leaf, err = a.leaf(); err != nil {
		return nil, false, err
	}
	if ours = a.s.ours(leaf); ours {
		_, err = a.holds(ctx, leaf)
	} else {
		err = a.identifyIDevID()
	}
	if err != nil {
		return nil, false, decision.Refuse(decision.UnknownDevice, "the TLS client is no device known here: %w", err)
	}
	return leaf, ours, nil
}

// presented says which certificate a device came with.
func (d *deviceRecord) presented(leaf *x509.Certificate, ours bool) string {
	n := len(d.LDevIDs)
	switch {
	case !ours:
		return "sent with the IDevID"
	case n > 0 && bytes.Equal(d.LDevIDs[n-1], leaf.SerialNumber.Bytes()):
		return "sent with the new LDevID"
	}
	return "sent with an older LDevID"
}

// A status is a status message (RFC 8995 §5.7.1).
type status struct {
	ok      bool
	reason  string
	newer   bool     // of a version above 1
	remarks []string // what is unusual about it
}

// text is the message for people; client says with which certificate it came.
func (s *status) text(client string) string {
	text := strings.Join(append(s.remarks, client), "; ")
	if s.reason != "" {
		text = strconv.QuoteToGraphic(clip(s.reason, 256)) + "; " + text
	}
	return clip(text, 512)
}

// parseStatus reads a status message leniently: member names in any letter case
// (erratum 6834), the version as a number or as text, members it does not know.
// The error is a *decision.Refusal.
func parseStatus(body []byte) (*status, error) {
	if len(body) == 0 {
		return nil, decision.Refuse(decision.Empty, "the body is empty, want a status message")
	}
	if len(body) > exchange.MaxTelemetry {
		return nil, decision.Refuse(decision.TooLarge, "the status message has %d octets, the limit is %d", len(body), exchange.MaxTelemetry)
	}
	s := &status{}
	members, err := s.members(body)
	if err == nil {
		err = s.read(members)
	}
	if err != nil {
		return nil, decision.Refuse(decision.BadTelemetry, "the status message: %w", err)
	}
	return s, nil
}

// maxMembers bounds the members of a status message, maxDepth its nesting.
const (
	maxMembers = 64
	maxDepth   = 16
)

// members takes the one object of a message apart, names in lower case.
func (s *status) members(body []byte) (map[string]json.RawMessage, error) {
	if depthOf(body) > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("it is no JSON object")
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		lower := strings.ToLower(name)
		if _, twice := members[lower]; twice || len(members) == maxMembers {
			return nil, fmt.Errorf("member %.80q twice, or more than %d members", name, maxMembers)
		}
		if lower != name {
			s.remarks = append(s.remarks, "member names in capitals")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		members[lower] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the object")
	}
	return members, nil
}

// depthOf is how deep brackets are nested, those inside strings left aside.
func depthOf(text []byte) (deepest int) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

func (s *status) read(members map[string]json.RawMessage) error {
	version, err := strconv.ParseUint(strings.Trim(string(members["version"]), `"`), 10, 32)
	if err != nil || version == 0 {
		return fmt.Errorf("version is %.20s, want 1", members["version"])
	}
	if version > 1 {
		s.newer = true
		s.remarks = append(s.remarks, fmt.Sprintf("version %d, of which only the members of version 1 are read", version))
	}
	switch string(members["status"]) {
	case "true":
		s.ok = true
	case "false":
	default:
		return fmt.Errorf("status is %.20s, want true or false", members["status"])
	}
	if reason, stated := members["reason"]; stated && json.Unmarshal(reason, &s.reason) != nil {
		return fmt.Errorf("reason is no text")
	}
	if about, stated := members["reason-context"]; stated && (len(about) == 0 || about[0] != '{') {
		return fmt.Errorf("reason-context is no object")
	}
	for name := range members {
		switch name {
		case "version", "status", "reason", "reason-context":
		default:
			s.remarks = append(s.remarks, "members it does not define")
			return nil
		}
	}
	return nil
}

// A Report is a status message a device sent.
type Report struct {
	At        time.Time `json:"at"`
	Operation string    `json:"operation"`
	OK        bool      `json:"ok"`
	Text      string    `json:"text,omitempty"`
}
