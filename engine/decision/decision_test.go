package decision_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vouchmill/vouchmill/engine/decision"
)

func TestEveryKindHasAPublicTextThatSaysNoMore(t *testing.T) {
	seen := map[decision.Kind]bool{}
	for _, k := range decision.Kinds() {
		if seen[k] {
			t.Errorf("%s is listed twice", k)
		}
		seen[k] = true
		text := k.Public()
		if text == "" || text == "refused" || len(text) > 80 || strings.ContainsAny(text, "\n%\"") {
			t.Errorf("%s: public text %q", k, text)
		}
	}
	if got := decision.Kind("new").Public(); got != "refused" {
		t.Errorf("a kind without text: %q", got)
	}
}

func TestARefusalKeepsTheOperatorsTextFromThePeer(t *testing.T) {
	r := decision.Refuse(decision.SerialMismatch, "the request names %q: %w", "SECRET-1", io.ErrUnexpectedEOF)
	if strings.Contains(r.Public, "SECRET-1") || !strings.Contains(r.Operator, "SECRET-1") {
		t.Errorf("public %q, operator %q", r.Public, r.Operator)
	}
	if !errors.Is(r, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if got := r.After(1500 * time.Millisecond).RetryAfter; got != 2*time.Second {
		t.Errorf("RetryAfter %v, want whole seconds, up", got)
	}
	if !r.Closing().Close {
		t.Error("Closing did not set Close")
	}
}

func TestAnyErrorBecomesARefusal(t *testing.T) {
	r := decision.Refuse(decision.BadNonce, "short")
	for _, c := range []struct {
		err  error
		kind decision.Kind
	}{{r, decision.BadNonce}, {fmt.Errorf("attempt 3: %w", r), decision.BadNonce}, {io.EOF, decision.Internal}} {
		if got := decision.Of(c.err); got.Kind != c.kind || !errors.Is(got, errors.Unwrap(c.err)) && errors.Unwrap(c.err) != nil {
			t.Errorf("%v: %v", c.err, got)
		}
		if !decision.Is(c.err, c.kind) && c.kind != decision.Internal {
			t.Errorf("Is(%v, %s) is false", c.err, c.kind)
		}
	}
	if decision.Of(nil) != nil || decision.Is(nil, decision.Internal) || decision.Is(io.EOF, decision.Internal) {
		t.Error("an error that is no refusal counts as one")
	}
}

func TestATrailIsTheChecksInOrderWithinBounds(t *testing.T) {
	var trail decision.Trail
	trail.Pass("signature", "")
	r := trail.Refuse(decision.BadNonce, "nonce", "%s", strings.Repeat("é", decision.MaxDetail))
	if r.Kind != decision.BadNonce || len(r.Operator) != 2*decision.MaxDetail {
		t.Errorf("the refusal has kind %s and %d octets", r.Kind, len(r.Operator))
	}
	checks := trail.Checks()
	if len(checks) != 2 || !checks[0].OK || checks[1].OK || checks[1].Kind != decision.BadNonce {
		t.Fatalf("checks %+v", checks)
	}
	if d := checks[1].Detail; len(d) > decision.MaxDetail || !utf8.ValidString(d) {
		t.Errorf("detail of %d octets, UTF-8 %t", len(d), utf8.ValidString(d))
	}
	for range 2 * decision.MaxTrail {
		trail.Pass("again", "")
	}
	if n := len(trail.Checks()); n != decision.MaxTrail {
		t.Errorf("%d checks kept", n)
	}
	var none *decision.Trail
	none.Pass("nothing", "")
	if none.Refuse(decision.Empty, "body", "none") == nil || none.Checks() != nil {
		t.Error("a nil Trail keeps something")
	}
}
