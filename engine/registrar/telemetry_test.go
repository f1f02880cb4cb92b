package registrar_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func TestStatusMessages(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		kind   decision.Kind
		ok     bool
		remark string
	}{
		"good":                {`{"version":1,"status":true}`, "", true, ""},
		"with reason":         {`{"version":1,"status":false,"reason":"no pin","reason-context":{"a":[1]}}`, "", false, `"no pin"`},
		"version as text":     {`{"version":"1","status":true}`, "", true, ""},
		"capitals":            {`{"Version":1,"Status":true,"Reason":"x"}`, "", true, "capitals"},
		"higher version":      {`{"version":2,"status":true,"more":1}`, "", true, "version 2"},
		"unknown members":     {`{"version":1,"status":true,"x":null}`, "", true, "does not define"},
		"control characters":  {"{\"version\":1,\"status\":false,\"reason\":\"a\\u0007\\nb\"}", "", false, `a\a\nb`},
		"empty":               {``, decision.Empty, false, ""},
		"no JSON":             {`yes`, decision.BadTelemetry, false, ""},
		"cut short":           {`{"version":1,`, decision.BadTelemetry, false, ""},
		"an array":            {`[1,true]`, decision.BadTelemetry, false, ""},
		"no version":          {`{"status":true}`, decision.BadTelemetry, false, ""},
		"version 0":           {`{"version":0,"status":true}`, decision.BadTelemetry, false, ""},
		"version -1":          {`{"version":-1,"status":true}`, decision.BadTelemetry, false, ""},
		"no status":           {`{"version":1}`, decision.BadTelemetry, false, ""},
		"status as text":      {`{"version":1,"status":"true"}`, decision.BadTelemetry, false, ""},
		"member twice":        {`{"version":1,"status":true,"status":false}`, decision.BadTelemetry, false, ""},
		"twice by letters":    {`{"version":1,"status":true,"Status":false}`, decision.BadTelemetry, false, ""},
		"reason no text":      {`{"version":1,"status":true,"reason":{}}`, decision.BadTelemetry, false, ""},
		"context no object":   {`{"version":1,"status":true,"reason-context":1}`, decision.BadTelemetry, false, ""},
		"something behind":    {`{"version":1,"status":true}{}`, decision.BadTelemetry, false, ""},
		"a bracket behind":    {`{"version":1,"status":true}}`, decision.BadTelemetry, false, ""},
		"nested deep":         {`{"version":1,"status":true,"x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`, decision.BadTelemetry, false, ""},
		"too long":            {`{"version":1,"status":true,"x":"` + strings.Repeat("x", exchange.MaxTelemetry) + `"}`, decision.TooLarge, false, ""},
		"many members":        {`{"version":1,"status":true` + manyMembers() + `}`, decision.BadTelemetry, false, ""},
		"brackets in strings": {`{"version":1,"status":true,"x":"[[[[[[[[[[[[[[[[[[[[[[[[\"[["}`, "", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSite(t)
			p := w.pledge("SN-0001")
			p.voucher()
			_, err := w.registrar.VoucherStatus(t.Context(), w.request(p.peer(), exchange.TypeJSON, []byte(c.body)))
			if c.kind != "" {
				wantKind(t, err, c.kind)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			info, err := w.registrar.ShowDevice(t.Context(), "SN-0001")
			if err != nil || len(info.Reports) != 1 || info.Reports[0].OK != c.ok || !strings.Contains(info.Reports[0].Text, c.remark) || strings.ContainsAny(info.Reports[0].Text, "\n\a") {
				t.Errorf("%+v, %v", info, err)
			}
			if w.alarmed("voucher_status") == c.ok {
				t.Errorf("alarm %v", c.ok)
			}
			if newer := c.remark == "version 2"; w.observed(registrar.Warning, "voucher_status") != newer { // RFC 8995 §5.7: alert a human
				t.Errorf("warning %v", !newer)
			}
		})
	}
}

func manyMembers() string {
	var b bytes.Buffer
	for i := range 70 {
		b.WriteString(`,"` + strings.Repeat("x", i+1) + `":0`)
	}
	return b.String()
}

func TestStatusOfStrangers(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	body := []byte(`{"version":1,"status":false}`)
	_, err := w.registrar.VoucherStatus(t.Context(), w.request(p.peer(), exchange.TypeJSON, body))
	wantKind(t, err, decision.UnknownDevice)
	_, err = w.registrar.EnrollStatus(t.Context(), w.request(w.chain, exchange.TypeJSON, body))
	wantKind(t, err, decision.UnknownDevice)
	_, err = w.registrar.EnrollStatus(t.Context(), w.request(nil, exchange.TypeJSON, body))
	wantKind(t, err, decision.NoCertificate)
	w.maker = newRoot(t, "Another CA")
	_, err = w.registrar.EnrollStatus(t.Context(), w.request(w.pledge("SN-0001").peer(), exchange.TypeJSON, body))
	wantKind(t, err, decision.UnknownDevice)
	p.voucher()
	_, err = w.registrar.VoucherStatus(t.Context(), w.request(p.peer(), "text/json", body))
	wantKind(t, err, decision.ContentType)
}

func TestReportsAreBounded(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	p.voucher()
	for range 20 {
		if _, err := w.registrar.VoucherStatus(t.Context(), w.request(p.peer(), exchange.TypeJSON, []byte(`{"version":1,"status":true}`))); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := w.registrar.ShowDevice(t.Context(), "SN-0001"); err != nil || len(info.Reports) != 8 {
		t.Errorf("%d reports, %v", len(info.Reports), err)
	}
}

func TestPublishedStatusMessages(t *testing.T) {
	w := newSite(t)
	p := w.pledge("SN-0001")
	p.voucher()
	for _, name := range []string{"voucher_status.json", "enrollstatus.json"} {
		if _, err := w.registrar.EnrollStatus(t.Context(), w.request(p.peer(), exchange.TypeJSON, vectors.File(t, "http", "json", name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
