package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// An auditedLog is a MASA's log with what a registrar keeps of it.
type auditedLog struct {
	t        *testing.T
	db       *state.Memory
	log      *audit.Log
	key      string // of the verifier
	secret   string
	appended int
}

func newAuditedLog(t *testing.T) *auditedLog {
	t.Helper()
	secret, public, err := audit.GenerateKey(rand.Reader, "masa.example.com/audit")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(signer, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &auditedLog{t: t, db: state.NewMemory(), log: log, key: public, secret: secret}
}

func testDevice(serial string) device.ID { return device.ID{IssuerKeyID: "\x01\x02", Serial: serial} }

// voucher logs one for a device.
func (l *auditedLog) voucher(serial string, nonce *string) {
	l.append(&audit.Event{Kind: audit.VoucherIssued, Assertion: codec.AssertionProximity, Device: testDevice(serial), DomainID: []byte("our own domain"), Nonce: nonce})
}

func (l *auditedLog) append(e *audit.Event) (index uint64) {
	l.t.Helper()
	e.Date = time.Date(2026, 11, 27, 8, l.appended, 0, 0, time.UTC)
	l.appended++
	if err := l.db.Update(context.Background(), func(tx state.Tx) (err error) { index, err = l.log.Append(tx, e); return err }); err != nil {
		l.t.Fatal(err)
	}
	return index
}

func (l *auditedLog) view(f func(state.Reader) ([]byte, error)) (text string) {
	l.t.Helper()
	if err := l.db.View(context.Background(), func(r state.Reader) error {
		b, err := f(r)
		text = string(b)
		return err
	}); err != nil {
		l.t.Fatal(err)
	}
	return text
}

func (l *auditedLog) answer(serial string, runs ...audit.RunRef) string {
	l.t.Helper()
	return l.view(func(r state.Reader) ([]byte, error) {
		return l.log.AppendResponse(nil, r, audit.ResponseParams{Device: testDevice(serial), Runs: runs})
	})
}

func (l *auditedLog) head() string {
	l.t.Helper()
	return l.view(func(r state.Reader) ([]byte, error) { b, _, err := l.log.SignedHead(r); return b, err })
}

func (l *auditedLog) consistency(older, newer uint64) string {
	l.t.Helper()
	return l.view(func(r state.Reader) ([]byte, error) {
		p, err := audit.NewConsistencyProof(r, older, newer)
		if err != nil {
			return nil, err
		}
		return p.AppendJSON(nil)
	})
}

// proofOf is the member of an answer that proves it, by itself.
func proofOf(t *testing.T, answer string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(answer), &m); err != nil {
		t.Fatal(err)
	}
	return string(m[audit.ProofMember])
}

func TestVerifyLogSaysWhatIsProvenAndWhatIsNot(t *testing.T) {
	t.Parallel()
	nonce := "a\x1b[31mnonce"
	l, stranger := newAuditedLog(t), newAuditedLog(t)
	l.voucher("A-1", &nonce)
	early, earlyAnswer := l.head(), l.answer("A-1")
	l.voucher("B-1", nil)
	l.voucher("A-1", nil)
	answer := l.answer("A-1")
	stranger.voucher("A-1", nil)
	stranger.voucher("A-1", nil)
	stranger.voucher("A-1", nil)
	consistent := file(t, "consistency.json", l.consistency(1, 3))
	for name, c := range map[string]struct {
		answer string
		args   []string
		code   int
		say    []string
	}{
		"an answer":                {answer, nil, exitDone, []string{"holds: 2 events", `0102/"A-1"`, "log masa.example.com/audit: 3 events", `nonce "a\x1b[31mnonce"`, "without nonce"}},
		"the member alone":         {proofOf(t, answer), nil, exitDone, []string{"holds: 2 events"}},
		"key in a file":            {answer, []string{"--key", file(t, "key", "\n"+l.key+"\r\n")}, exitDone, []string{"holds"}},
		"its device":               {answer, []string{"--serial", "A-1"}, exitDone, []string{"holds"}},
		"another device":           {answer, []string{"--serial", "A-2"}, exitFailed, []string{`"A-1"`, `"A-2"`}},
		"older head":               {answer, []string{"--older-head", file(t, "head", early), "--consistency", consistent}, exitDone, []string{"it begins with the log of the older head: 1 events", "holds"}},
		"older answer":             {answer, []string{"--older-head", file(t, "old.json", earlyAnswer), "--consistency", consistent}, exitDone, []string{"the older head: 1 events"}},
		"same head":                {answer, []string{"--older-head", file(t, "head", l.head())}, exitDone, []string{"the older head: 3 events"}},
		"no proof of consistency":  {answer, []string{"--older-head", file(t, "head", early)}, exitFailed, []string{"ask the MASA"}},
		"a fork":                   {answer, []string{"--older-head", file(t, "head", stranger.head())}, exitFailed, []string{"signed"}},
		"another's proof":          {answer, []string{"--older-head", file(t, "head", early), "--consistency", file(t, "c", stranger.consistency(1, 3))}, exitFailed, []string{"consistency"}},
		"not a proof":              {answer, []string{"--older-head", file(t, "head", early), "--consistency", file(t, "c", "{}")}, exitFailed, []string{"consistency"}},
		"an empty head":            {answer, []string{"--older-head", file(t, "head", "")}, exitFailed, []string{"head"}},
		"an older answer is bad":   {answer, []string{"--older-head", file(t, "head", `{"version":1,"events":[]}`)}, exitFailed, []string{"--older-head", "vouchmill-log"}},
		"proof without a head":     {answer, []string{"--consistency", consistent}, exitUsage, []string{"--older-head"}},
		"a date altered":           {strings.Replace(answer, `"date":"2026-11-27T08:00`, `"date":"2026-11-27T07:00`, 1), nil, exitFailed, []string{"another date"}},
		"an event taken out":       {`{"version":1,"events":[]` + answer[strings.Index(answer, `,"truncation"`):], nil, exitFailed, []string{"entries"}},
		"another MASA's answer":    {`{"version":"1","events":[]}`, nil, exitFailed, []string{"nothing in it is proven"}},
		"not JSON":                 {"hello", nil, exitFailed, []string{"audit log answer"}},
		"nothing":                  {"", nil, exitFailed, nil},
		"a key after a change":     {answer, []string{"--key", stranger.key}, exitDone, []string{"holds"}},
		"the secret key":           {answer, []string{"--key", l.secret}, exitUsage, []string{"secret"}},
		"a file of the secret key": {answer, []string{"--key", file(t, "key", l.secret)}, exitUsage, []string{"secret"}},
		"a file of no key":         {answer, []string{"--key", file(t, "key", "hello")}, exitUsage, []string{"--key"}},
		"no such key":              {answer, []string{"--key", "none.key"}, exitIO, []string{"--key", "none.key"}},
		"no such head":             {answer, []string{"--older-head", "none.head"}, exitIO, []string{"none.head"}},
		"too much":                 {strings.Repeat(" ", maxLogAnswer+1), nil, exitUsage, []string{"octets"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := call(append([]string{"verify-log", "--key", l.key, file(t, "answer.json", c.answer)}, c.args...)...).want(t, c.code, c.say...)
			if code := callWith(c.answer, append([]string{"verify-log", "--key", l.key, "-"}, c.args...)...).code; code != c.code {
				t.Errorf("from standard input the exit code is %d, want %d", code, c.code)
			}
			if strings.Contains(o.out+o.errs, l.secret) || strings.Contains(o.out+o.errs, "\x1b") {
				t.Errorf("a secret or a control character is shown: %q %q", o.out, o.errs)
			}
		})
	}
	call("verify-log", "--key", stranger.key, file(t, "answer.json", answer)).want(t, exitFailed, "not signed by log")
	call("verify-log", file(t, "answer.json", answer)).want(t, exitUsage, "key")
	call("verify-log", "--key", l.key, "none.json").want(t, exitIO, "none.json")
}

func TestVerifyLogReportsAsJSONWhatANextCallTakes(t *testing.T) {
	t.Parallel()
	l := newAuditedLog(t)
	l.voucher("A-1", nil)
	run := l.append(&audit.Event{Kind: audit.RunImported, Assertion: codec.AssertionVerified, Manifest: make([]byte, 32), Run: "lot", Count: 5,
		DomainIDs: [][]byte{[]byte("left"), []byte("right")}, CreatedOn: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), ExpiresOn: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)})
	answer := l.answer("A-1", audit.RunRef{Index: run, DomainID: []byte("left")})
	call("verify-log", "--key", l.key, file(t, "answer.json", answer)).want(t, exitDone, "holds: 2 events", "a run of vouchers of 2026-01-01T00:00:00Z", "until 2027")
	o := call("verify-log", "--key", l.key, "--json", file(t, "answer.json", answer)).want(t, exitDone)
	m := members(t, o.out, "holds", "log", "head", "device", "events")
	events := m["events"].([]any)
	if m["holds"] != true || len(events) != 2 || events[0].(map[string]any)["kind"] != "voucher" && events[1].(map[string]any)["kind"] != "voucher" {
		t.Errorf("the report is %s", o.out)
	}
	signed := m["head"].(map[string]any)["signed"].(string)
	l.voucher("A-1", nil)
	later := []string{"verify-log", "--key", l.key, "--json", "--older-head", file(t, "head", signed), "--consistency", file(t, "c", l.consistency(2, 3)), file(t, "answer.json", l.answer("A-1"))}
	members(t, call(later...).want(t, exitDone).out, "holds", "log", "head", "older-head", "device", "events")

	bad := call("verify-log", "--key", l.key, "--json", "--serial", "A-2", file(t, "answer.json", answer)).want(t, exitFailed)
	if m := members(t, bad.out, "holds", "reason", "log"); m["holds"] != false || bad.errs != "" {
		t.Errorf("a failure is reported as %s, and %q on standard error", bad.out, bad.errs)
	}
}
