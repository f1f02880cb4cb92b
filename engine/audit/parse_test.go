package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
)

// text shows an event with what it points to.
func text(e audit.ResponseEvent) string {
	nonce := "none"
	if e.Nonce != nil {
		nonce = *e.Nonce
	}
	return fmt.Sprintf("%s %x %s %s %d", e.Date.UTC().Format(time.RFC3339Nano), e.DomainID, nonce, e.Assertion, e.Truncated)
}

func TestPublishedAnswersAreRead(t *testing.T) {
	for name, want := range map[string]struct {
		events     []string
		truncation audit.Truncation
	}{
		"json/auditlog.json": {[]string{
			"2019-05-15T21:25:55.644Z 05db8985d1cfa5f8502f2a689dfe3c2735d2199f VOUFT-WwrEv0NuAQEHoV7Q proximity 0",
			"2017-05-15T21:25:55.644Z 05db8985d1cfa5f8502f2a689dfe3c2735d2199f f4G6Vi1t8nKo/FieCVgpBg== proximity 0",
		}, audit.Truncation{NoncelessDuplicates: 1, Arbitrary: 2}},
		"derived/auditlog-numbers.json": {[]string{
			"2021-04-13T21:43:24Z 3b2eb0daf4bc6abf26fc5b441eececeec97b2d20f7a56f724c280279ca082f73 -_XE9zK9q8Ll1qylMtLKeg proximity 0",
			"2021-01-02T03:04:05Z b9a5f6cb11e107a4492ca708c67c10bc87b37426 none logged 2",
		}, audit.Truncation{NoncelessDuplicates: 2}},
	} {
		r, err := audit.ParseResponse(vectors.File(t, "http", name), audit.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var events []string
		for _, e := range r.Events {
			events = append(events, text(e))
		}
		if r.Version != 1 || strings.Join(events, "\n") != strings.Join(want.events, "\n") || r.Truncation != want.truncation {
			t.Errorf("%s: version %d\n%s\n%+v", name, r.Version, strings.Join(events, "\n"), r.Truncation)
		}
		if _, err := r.VerifyLog(newBench(t).verifier, ""); !errors.Is(err, audit.ErrNoProof) || r.HasProof() {
			t.Errorf("%s: error %v, want ErrNoProof", name, err)
		}
	}
}

func TestWhatMASAsSendIsTaken(t *testing.T) {
	const event = `{"date":"2026-11-27T08:00:00Z","domainID":"AQI=","nonce":"n","assertion":"logged"}`
	for name, body := range map[string]string{
		"no truncation":           `{"version":1,"events":[` + event + `]}`,
		"null truncation":         `{"version":1,"events":[` + event + `],"truncation":null}`,
		"a counter missing":       `{"version":1,"events":[` + event + `],"truncation":{"arbitrary":0}}`,
		"a later version":         `{"version":"3","events":[` + event + `],"more":{"x":[1,2,{"y":null}]}}`,
		"members not known":       `{"version":1,"x":1,"events":[` + strings.Replace(event, "{", `{"y":[],`, 1) + `]}`,
		"blanks":                  " {\n\"version\" : 1 ,\t\"events\":[ " + event + " ]\r\n} ",
		"base64url":               `{"version":1,"events":[` + strings.Replace(event, "AQI=", "AQI", 1) + `]}`,
		"a name escaped":          `{"version":1,"events":[` + strings.Replace(event, "date", `d\u0061te`, 1) + `]}`,
		"fractions and time zone": `{"version":1,"events":[` + strings.Replace(event, "08:00:00Z", "09:30:00.000+01:30", 1) + `]}`,
		"names in upper case":     `{"version":1,"VERSION":7,"Events":[],"events":[` + event + `]}`,
	} {
		r, err := audit.ParseResponse([]byte(body), audit.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := text(r.Events[0]); got != "2026-11-27T08:00:00Z 0102 n logged 0" || len(r.Events) != 1 {
			t.Errorf("%s: %s", name, got)
		}
	}
	for nonce, want := range map[string]string{`null`: "none", `""`: "none", `"a b-_/+=\u00e9"`: "a b-_/+=é", `"0A0B"`: "0A0B"} {
		r, err := audit.ParseResponse([]byte(`{"version":1,"events":[`+strings.Replace(event, `"n"`, nonce, 1)+`]}`), audit.Limits{})
		if err != nil || !strings.Contains(text(r.Events[0]), " "+want+" ") {
			t.Errorf("nonce %s: %v", nonce, err)
		}
	}
}

func TestAnswersThatCannotBeReadAreRefused(t *testing.T) {
	const event = `{"date":"2026-11-27T08:00:00Z","domainID":"AQI=","nonce":"n","assertion":"logged"}`
	with := func(old, new string) string {
		return `{"version":1,"events":[` + event + `,` + strings.Replace(event, old, new, 1) + `]}`
	}
	for name, c := range map[string]struct{ body, place string }{
		"nothing":            {``, ""},
		"no object":          {`[]`, ""},
		"null":               {`null`, ""},
		"two":                {`{"version":1,"events":[]}{}`, ""},
		"not UTF-8":          {"{\"version\":1,\"events\":[],\"x\":\"\xff\"}", ""},
		"no version":         {`{"events":[]}`, ""},
		"version 0":          {`{"version":0,"events":[]}`, ""},
		"version -1":         {`{"version":-1,"events":[]}`, ""},
		"version 1.0":        {`{"version":1.0,"events":[]}`, ""},
		"no events":          {`{"version":1}`, ""},
		"events an object":   {`{"version":1,"events":{}}`, ""},
		"a member twice":     {`{"version":1,"events":[],"version":1}`, ""},
		"twice with escapes": {`{"version":1,"events":[],"\u0065vents":[]}`, ""},
		"twice deep within":  {`{"version":1,"events":[],"x":[{"a":1,"b":[],"a":2}]}`, ""},
		"too deep":           {`{"version":1,"events":[],"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, ""},
		"too many events":    {`{"version":1,"events":[` + strings.Repeat("{},", 4096) + `{}]}`, ""},
		"too long":           {`{"version":1,"events":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`, ""},
		"an event a string":  {`{"version":1,"events":["x"]}`, "events[0]"},
		"no date":            {with(`date`, `Date`), "events[1]"},
		"a date of no form":  {with(`T08`, ` 08`), "events[1]"},
		"no domainID":        {with(`domainID`, `domainid`), "events[1]"},
		"empty domainID":     {with(`AQI=`, ``), "events[1]"},
		"long domainID":      {with(`AQI=`, strings.Repeat("AQID", 22)), "events[1]"},
		"domainID no base64": {with(`AQI=`, `A!`), "events[1]"},
		"a nonce a number":   {with(`"n"`, `7`), "events[1]"},
		"a long nonce":       {with(`"n"`, `"`+strings.Repeat("n", 1025)+`"`), "events[1]"},
		"assertion a number": {with(`"logged"`, `1`), "events[1]"},
		"truncated text":     {with(`{`, `{"truncated":"few",`), "events[1]"},
		"truncated too much": {with(`{`, `{"truncated":18446744073709551616,`), "events[1]"},
		"truncation an int":  {`{"version":1,"events":[],"truncation":3}`, "truncation"},
		"counter negative":   {`{"version":1,"events":[],"truncation":{"arbitrary":-1}}`, "truncation"},
	} {
		_, err := audit.ParseResponse([]byte(c.body), audit.Limits{})
		var bad *audit.ResponseError
		if !errors.As(err, &bad) || bad.Place != c.place {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := audit.ParseResponse([]byte(`{"version":1,"events":[{},{}]}`), audit.Limits{Events: 1}); err == nil {
		t.Error("a limit on events is not held")
	}
	if _, err := audit.ParseResponse([]byte(`{"version":1,"events":[]}`), audit.Limits{Bytes: 10}); err == nil {
		t.Error("a limit on octets is not held")
	}
	if _, err := audit.ParseResponse([]byte(`{"version":1,"events":[],"x":`+strings.Repeat("[", 15)+strings.Repeat("]", 15)+`}`), audit.Limits{}); err != nil {
		t.Errorf("16 deep: %v", err)
	}
}

func TestRecordsHaveOneForm(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "domain", "n"))
	record := b.records()[0]
	if _, err := audit.ParseRecord(record); err != nil {
		t.Fatal(err)
	}
	for at := range record {
		for bit := range 8 {
			changed := bytes.Clone(record)
			changed[at] ^= 1 << bit
			if e, err := audit.ParseRecord(changed); err == nil {
				if fmt.Sprintf("%+v", deref(e)) == fmt.Sprintf("%+v", deref(voucher(1, deviceA, "domain", "n"))) && at < len(record)-32 {
					t.Errorf("octet %d changed says the same", at)
				}
			} else if bad := new(audit.EventError); !errors.As(err, &bad) {
				t.Errorf("error of type %T: %v", err, bad)
			}
		}
	}
	if _, err := audit.ParseRecord(append(bytes.Clone(record), 0)); err == nil {
		t.Error("a record with an octet more passes")
	}
	if _, err := audit.ParseRecord(make([]byte, audit.MaxRecord+1)); err == nil {
		t.Error("a record too long passes")
	}
}
