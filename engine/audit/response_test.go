package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/state"
)

// answer is the body of the answer for a device.
func (b *bench) answer(p audit.ResponseParams) (body []byte) {
	b.Helper()
	b.view(func(r state.Reader) (err error) { body, err = b.log.AppendResponse(nil, r, p); return err })
	return body
}

func (b *bench) parse(body []byte) *audit.Response {
	b.Helper()
	r, err := audit.ParseResponse(body, audit.Limits{})
	if err != nil {
		b.Fatalf("%s: %v", body, err)
	}
	return r
}

func TestTheAnswerIsOfTheDeviceTheNewestFirst(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "first", "nonce/1+="), voucher(2, deviceB, "other", "n"), voucher(3, deviceA, "second", ""),
		voucher(4, deviceB, "other", "\"quoted\"\n"))
	body := b.answer(audit.ResponseParams{Device: deviceA})
	var got struct {
		Version int
		Events  []map[string]any
		Trunc   map[string]int `json:"truncation"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"date": "2026-11-27T11:00:00Z", "domainID": base64.StdEncoding.EncodeToString([]byte("second")), "nonce": nil, "assertion": "proximity"},
		{"date": "2026-11-27T09:00:00Z", "domainID": base64.StdEncoding.EncodeToString([]byte("first")), "nonce": "nonce/1+=", "assertion": "proximity"},
	}
	if got.Version != 1 || !reflect.DeepEqual(got.Events, want) {
		t.Errorf("the answer has version %d and events %v", got.Version, got.Events)
	}
	if !reflect.DeepEqual(got.Trunc, map[string]int{"nonced duplicates": 0, "nonceless duplicates": 0, "arbitrary": 0}) {
		t.Errorf("the truncation is %v", got.Trunc)
	}
	if bytes.Contains(body, []byte("Acme")) {
		t.Error("the answer names a customer")
	}
	for id, nonce := range map[string]string{"A": "nonce/1+=", "B": "\"quoted\"\n"} {
		device := deviceA
		if id == "B" {
			device = deviceB
		}
		r := b.parse(b.answer(audit.ResponseParams{Device: device}))
		if head, err := r.VerifyLog(b.verifier, "A-1"); err != nil || head != b.head() || len(r.Events) != 2 {
			t.Errorf("device %s: %v, %v", id, head, err)
		}
		if !slices.ContainsFunc(r.Events, func(e audit.ResponseEvent) bool { return e.Nonce != nil && *e.Nonce == nonce }) {
			t.Errorf("device %s: nonce %q is not there", id, nonce)
		}
	}
	if _, err := b.parse(body).VerifyLog(b.verifier, "A-2"); err == nil {
		t.Error("the answer passes for that of another device")
	}
}

func TestADeviceWithoutEventsHasNoAnswer(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceB, "d", "n"))
	if err := b.db.View(background, func(r state.Reader) error {
		_, err := b.log.AppendResponse(nil, r, audit.ResponseParams{Device: deviceA})
		return err
	}); !errors.Is(err, audit.ErrNoEvents) {
		t.Errorf("error %v, want ErrNoEvents", err)
	}
}

func TestARunIsShownAsANoncelessEvent(t *testing.T) {
	b := newBench(t)
	run := func(day int, domains ...string) uint64 {
		e := &audit.Event{Kind: audit.RunImported, Date: start.AddDate(0, 0, day), Assertion: codec.AssertionVerified,
			Manifest: make([]byte, 32), CreatedOn: start.AddDate(0, 0, day-10), Run: fmt.Sprint("lot ", day), Count: 5}
		for _, d := range domains {
			e.DomainIDs = append(e.DomainIDs, []byte(d))
		}
		return b.append(e)
	}
	one, two := run(1, "only"), run(2, "left", "right")
	b.append(voucher(-9*24, deviceA, "own", "n")) // of a date between the two runs'
	runs := []audit.RunRef{{Index: one}, {Index: two, DomainID: []byte("right")}}
	r := b.parse(b.answer(audit.ResponseParams{Device: deviceA, Runs: runs}))
	var shown []string
	for _, e := range r.Events {
		shown = append(shown, fmt.Sprint(e.Date.Format(time.DateOnly), " ", string(e.DomainID), " ", e.Assertion, " ", e.Nonce == nil))
	}
	if want := []string{"2026-11-19 right verified true", "2026-11-18 own proximity false", "2026-11-18 only verified true"}; !slices.Equal(shown, want) {
		t.Errorf("shown are %q, want %q", shown, want)
	}
	if _, err := r.VerifyLog(b.verifier, deviceA.Serial); err != nil {
		t.Error(err)
	}
	if r := b.parse(b.answer(audit.ResponseParams{Device: deviceB, Runs: runs[:1]})); len(r.Events) != 1 {
		t.Errorf("a device with a run alone has %d events", len(r.Events))
	}
	for name, ref := range map[string]audit.RunRef{
		"a domain that the run does not pin": {Index: two, DomainID: []byte("only")},
		"none of two":                        {Index: two},
		"a voucher":                          {Index: 2},
		"no event":                           {Index: 9},
	} {
		if err := b.db.View(background, func(r state.Reader) error {
			_, err := b.log.AppendResponse(nil, r, audit.ResponseParams{Device: deviceA, Runs: []audit.RunRef{ref}})
			return err
		}); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestAbridgingKeepsOneOfEachDomainAndCountsTheRest(t *testing.T) {
	b := newBench(t)
	hour := 0
	many := func(n int, domain, nonce string) {
		for range n {
			hour++
			b.append(voucher(hour, deviceA, domain, nonce))
		}
	}
	many(3, "old", "n")
	many(1, "old", "")
	many(200, "busy", "n")
	many(1100, "flood", "")
	r := b.parse(b.answer(audit.ResponseParams{Device: deviceA, Shown: 10}))
	if _, err := r.VerifyLog(b.verifier, deviceA.Serial); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	cut := map[string][]uint64{}
	for i, e := range r.Events {
		kind := fmt.Sprint(string(e.DomainID), " ", e.Nonce != nil)
		got[kind]++
		cut[kind] = append(cut[kind], e.Truncated)
		if i > 0 && e.Date.After(r.Events[i-1].Date) {
			t.Error("the events are not the newest first")
		}
	}
	if want := (map[string]int{"old true": 1, "old false": 1, "busy true": 1, "flood false": 7}); !reflect.DeepEqual(got, want) {
		t.Errorf("shown are %v, want %v", got, want)
	}
	if want := (map[string][]uint64{"old true": {2}, "old false": {0}, "busy true": {199}, "flood false": {1024, 0, 0, 0, 0, 0, 0}}); !reflect.DeepEqual(cut, want) {
		t.Errorf("truncated are %v, want %v", cut, want)
	}
	if want := (audit.Truncation{NoncedDuplicates: 201, NoncelessDuplicates: 1024}); r.Truncation != want {
		t.Errorf("the truncation is %+v, want %+v", r.Truncation, want)
	}

	// More domains than there is room for: the newest stay, the rest is arbitrary.
	r = b.parse(b.answer(audit.ResponseParams{Device: deviceA, Shown: 2}))
	if len(r.Events) != 2 || string(r.Events[0].DomainID) != "flood" || string(r.Events[1].DomainID) != "busy" {
		t.Errorf("shown are %v", r.Events)
	}
	if want := (audit.Truncation{NoncedDuplicates: 199, NoncelessDuplicates: 1024, Arbitrary: 4}); r.Truncation != want {
		t.Errorf("the truncation is %+v, want %+v", r.Truncation, want)
	}
	if r = b.parse(b.answer(audit.ResponseParams{Device: deviceA})); len(r.Events) != audit.DefaultShown {
		t.Errorf("%d events are shown", len(r.Events))
	}
	if n := len(b.answer(audit.ResponseParams{Device: deviceA})); n > 1<<20 {
		t.Errorf("the answer has %d octets", n)
	}
}

func TestMoreDomainsThanAreCountedAreArbitrary(t *testing.T) {
	b := newBench(t)
	for at := 0; at < 5000; at += 500 {
		var events []*audit.Event
		for i := at; i < at+500; i++ {
			events = append(events, voucher(i, deviceA, fmt.Sprint("domain ", i), "n"))
		}
		b.append(events...)
	}
	r := b.parse(b.answer(audit.ResponseParams{Device: deviceA}))
	if len(r.Events) != audit.DefaultShown || r.Truncation.Arbitrary != 1024 {
		t.Errorf("%d events, truncation %+v", len(r.Events), r.Truncation)
	}
	for i := range r.Events { // however many domains, the newest voucher is there
		if got, want := string(r.Events[i].DomainID), fmt.Sprint("domain ", 4999-i); got != want {
			t.Fatalf("event %d is of %s, want %s", i, got, want)
		}
	}
}

// A bit that is flipped anywhere in what is proven is found, unless what is
// read stays the same.
func TestEveryChangeOfWhatIsProvenIsFound(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "first domain", "nonce 1"), voucher(2, deviceB, "x", "n"), voucher(3, deviceA, "second", ""))
	b.append(&audit.Event{Kind: audit.RunImported, Date: start, Assertion: codec.AssertionLogged, Manifest: make([]byte, 32),
		DomainIDs: [][]byte{[]byte("run's")}, CreatedOn: start, Run: "r"})
	body := b.answer(audit.ResponseParams{Device: deviceA, Runs: []audit.RunRef{{Index: 3}}})
	whole := b.parse(body)
	head, err := whole.VerifyLog(b.verifier, deviceA.Serial)
	if err != nil {
		t.Fatal(err)
	}
	from := func(mark string) int {
		at := bytes.Index(body, []byte(mark))
		if at < 0 {
			t.Fatalf("no %s in %s", mark, body)
		}
		return at
	}
	passed := 0
	try := func(at int, changed []byte) {
		t.Helper()
		r, err := audit.ParseResponse(changed, audit.Limits{})
		if err != nil {
			return
		}
		got, err := r.VerifyLog(b.verifier, deviceA.Serial)
		if err != nil {
			return
		}
		if passed++; got != head || !reflect.DeepEqual(r.Events, whole.Events) {
			t.Errorf("octet %d was changed, %.60s…, and it passes", at, changed[at:])
		}
	}
	for _, part := range [][2]int{{from(`"events"`), from(`],"truncation"`)}, {from(`"` + audit.ProofMember), len(body)}} {
		for at := part[0]; at < part[1]; at++ {
			for _, mask := range []byte{1, 1 << (at % 8), 1<<6 | 1} {
				changed := bytes.Clone(body)
				changed[at] ^= mask
				try(at, changed)
			}
			try(at, append(bytes.Clone(body[:at]), body[at+1:]...))
		}
	}
	// What passes are the unused bits at the end of base64, and the names of two
	// members that are null.
	if passed > 60 {
		t.Errorf("%d changes pass", passed)
	}
}

func TestAnswersThatDoNotFitTheirProofAreRefused(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "first", "n"), voucher(2, deviceA, "second", "n"), voucher(3, deviceA, "third", "n"))
	body := string(b.answer(audit.ResponseParams{Device: deviceA}))
	other := newBench(t)
	other.append(voucher(1, deviceA, "first", "n"), voucher(2, deviceA, "second", "n"), voucher(3, deviceA, "third", "n"))
	if _, err := b.parse([]byte(body)).VerifyLog(other.verifier, ""); err == nil {
		t.Error("a head of another key passes")
	}
	var whole map[string]any
	for name, change := range map[string]func(events, entries []any, proof map[string]any){
		"an event less":  func(events, entries []any, proof map[string]any) { whole["events"] = events[:2] },
		"an entry less":  func(events, entries []any, proof map[string]any) { proof["entries"] = entries[1:] },
		"another order":  func(events, entries []any, proof map[string]any) { entries[0], entries[1] = entries[1], entries[0] },
		"one twice":      func(events, entries []any, proof map[string]any) { entries[0], events[0] = entries[1], events[1] },
		"another's path": func(events, entries []any, proof map[string]any) { entries[0].(map[string]any)["proof"] = []any{} },
		"no index":       func(events, entries []any, proof map[string]any) { delete(entries[0].(map[string]any), "index") },
		"a huge index": func(events, entries []any, proof map[string]any) {
			entries[0].(map[string]any)["index"] = uint64(1 << 63)
		},
		"no head":         func(events, entries []any, proof map[string]any) { delete(proof, "head") },
		"another's head":  func(events, entries []any, proof map[string]any) { proof["head"] = signedHead(t, other) },
		"a nonce dropped": func(events, entries []any, proof map[string]any) { events[2].(map[string]any)["nonce"] = nil },
		"a nonce added":   func(events, entries []any, proof map[string]any) { events[2].(map[string]any)["nonce"] = "x" },
		"no proof at all": func(events, entries []any, proof map[string]any) { delete(whole, audit.ProofMember) },
	} {
		whole = nil
		if err := json.Unmarshal([]byte(body), &whole); err != nil {
			t.Fatal(err)
		}
		proof := whole[audit.ProofMember].(map[string]any)
		change(whole["events"].([]any), proof["entries"].([]any), proof)
		changed, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.parse(changed).VerifyLog(b.verifier, deviceA.Serial)
		var bad *audit.ProofError
		if !errors.As(err, &bad) && !errors.Is(err, audit.ErrNoProof) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if strings.Count(body, `"index"`) != 3 {
		t.Error("the answer is another than this test was made for")
	}
}

func signedHead(t testing.TB, b *bench) string {
	t.Helper()
	var signed []byte
	b.view(func(r state.Reader) (err error) { signed, _, err = b.log.SignedHead(r); return err })
	return string(signed)
}

func TestKeptAnswersAndHeadsAreVerified(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "first", "n"), voucher(2, deviceB, "x", "n"))
	older := []byte(signedHead(t, b))
	b.append(voucher(3, deviceA, "second", "n"), voucher(4, deviceB, "x", "n"), voucher(5, deviceB, "x", "n"))
	saved := b.answer(audit.ResponseParams{Device: deviceA})
	var members map[string]json.RawMessage
	if err := json.Unmarshal(saved, &members); err != nil {
		t.Fatal(err)
	}
	bare := []byte(members[audit.ProofMember])
	var consistency, wrong []byte
	b.view(func(r state.Reader) error {
		p, err := audit.NewConsistencyProof(r, 2, 5)
		if err == nil {
			consistency, err = p.AppendJSON(nil)
		}
		q, qerr := audit.NewConsistencyProof(r, 1, 5)
		if qerr == nil {
			wrong, qerr = q.AppendJSON(nil)
		}
		return errors.Join(err, qerr)
	})
	fork := newBench(t)
	fork.append(voucher(1, deviceA, "first", "n"), voucher(2, deviceB, "x", "n"))
	for name, c := range map[string]struct {
		saved, older, consistency []byte
		ok                        bool
	}{
		"the answer alone":         {saved, nil, nil, true},
		"its proof alone":          {bare, nil, nil, true},
		"with an older head":       {saved, older, consistency, true},
		"the proof with one":       {bare, older, consistency, true},
		"the same head":            {saved, []byte(signedHead(t, b)), nil, true},
		"no consistency proof":     {saved, older, nil, false},
		"that of other sizes":      {saved, older, wrong, false},
		"no JSON of a proof":       {saved, older, []byte("{}"), false},
		"an older head of another": {saved, []byte(signedHead(t, fork)), consistency, false},
		"an older head not signed": {saved, older[:len(older)-10], consistency, false},
		"nothing":                  {nil, nil, nil, false},
		"another answer":           {[]byte(`{"version":1,"events":[]}`), nil, nil, false},
	} {
		found, err := audit.VerifyFiles(b.verifier, c.saved, c.older, c.consistency)
		if c.ok != (err == nil) {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		if !c.ok {
			continue
		}
		if found.Head != b.head() || len(found.Entries) != 2 || found.Device == nil || *found.Device != deviceA ||
			(found.Older != nil) != (c.older != nil) || string(found.Entries[1].Event.DomainID) != "first" {
			t.Errorf("%s: found %+v", name, found)
		}
	}
}
