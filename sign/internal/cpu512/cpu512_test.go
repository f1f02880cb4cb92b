package cpu512

import (
	"strings"
	"testing"
)

func TestDecideFollowsFeaturesAndOverride(t *testing.T) {
	full := []Feature{{"A", true}, {"B", true}}
	lacking := []Feature{{"A", true}, {"B", false}}
	for _, c := range []struct {
		name     string
		features []Feature
		override string
		use      bool
		reason   string
	}{
		{"all features", full, "", true, "A, B"},
		{"forced on", full, "on", true, "A, B"},
		{"forced off", full, "off", false, Variable},
		{"one missing", lacking, "", false, "lacks B"},
		{"forced on but missing", lacking, "on", false, "lacks B"},
		{"no vector code", nil, "on", false, "no vector code"},
	} {
		got := decide(c.features, c.override)
		if got.Use != c.use || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: got %+v, want use %v and a reason with %q", c.name, got, c.use, c.reason)
		}
	}
}
