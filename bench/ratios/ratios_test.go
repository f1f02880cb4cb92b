package main

import (
	"strings"
	"testing"
)

func TestOutputOfBenchmarksIsRead(t *testing.T) {
	found := make(results)
	for _, line := range []string{
		"goos: linux", "BenchmarkBroken", "PASS", "ok  	x	1.2s",
		"BenchmarkSign/alg=es256/impl=wide/batch=1-2   100   12.5 ns/op   80000000 sig/s",
		"BenchmarkMake/env=cms/impl=smallstep-pkcs7   100   7 ns/op",
	} {
		parse(line, found)
	}
	if len(found) != 2 || found["Sign/alg=es256/impl=wide/batch=1"]["sig/s"] != 8e7 || found["Make/env=cms/impl=smallstep-pkcs7"]["ns/op"] != 7 {
		t.Errorf("found %v", found)
	}
}

func TestARowsRatioIsTheMedianOfItsRounds(t *testing.T) {
	r := row{text: "a ÷ b", over: value{"bench", "A", "ns/op"}, under: value{"peers", "B", "ns/op"}}
	for _, a := range []float64{30, 10, 20} {
		r.take("bench", results{"A": {"ns/op": a}})
		r.take("peers", results{"B": {"ns/op": 10}})
		if err := r.endRound(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.endRound(); err == nil {
		t.Error("a round without values passed")
	}
	var b strings.Builder
	if err := print(&b, []row{r}, 3); err != nil || !strings.Contains(b.String(), "| a ÷ b | 2.00 | 1.00 to 3.00 |") {
		t.Errorf("table %q, %v", b.String(), err)
	}
}

func TestRatesOfOpenSSLAreRead(t *testing.T) {
	found := parseOpenSSL(`                              sign    verify    sign/s verify/s
 256 bits ecdsa (nistp256)   0.0000s   0.0001s  40000.0  12500.0
`)
	if found[opensslSign]["ns-cpu/sig"] != 25000 || found[opensslVerify]["ns-cpu/sig"] != 80000 {
		t.Errorf("found %v", found)
	}
	for _, out := range []string{"", "256 bits ecdsa (nistp256)", "ecdsa (nistp256) 0 0", "384 bits ecdsa (nistp384) 1 2"} {
		if found := parseOpenSSL(out); found != nil {
			t.Errorf("%q: %v", out, found)
		}
	}
}
