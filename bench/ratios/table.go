package main

import "fmt"

const module = "github.com/vouchmill/vouchmill"

// A value is one metric of one benchmark.
type value struct {
	suite string // bench, portable, peers or openssl
	name  string // without Benchmark in front
	unit  string
}

// A row is a ratio of two values.
type row struct {
	text, aim   string
	over, under value

	ratios      []float64
	above, base float64 // of the round at hand
}

// take notes what a suite measured of the row.
func (r *row) take(suite string, found results) {
	if r.over.suite == suite {
		r.above = found[r.over.name][r.over.unit]
	}
	if r.under.suite == suite {
		r.base = found[r.under.name][r.under.unit]
	}
}

// endRound adds the ratio of the round. Both values are missing where the
// machine cannot run one of the benchmarks.
func (r *row) endRound() error {
	if r.above > 0 && r.base > 0 {
		r.ratios = append(r.ratios, r.above/r.base)
	} else if r.above == 0 && r.base == 0 {
		return fmt.Errorf("%s: neither %s nor %s was measured", r.text, r.over.name, r.under.name)
	}
	r.above, r.base = 0, 0
	return nil
}

// table is what is compared: processor time on both sides, of all goroutines and
// the collector, so that a ratio is how many times as much one core gets done.
func table() []row {
	var rows []row
	add := func(text, aim string, over, under value) {
		rows = append(rows, row{text: text, aim: aim, over: over, under: under})
	}
	signed := func(impl string, batch int) value {
		return value{"bench", fmt.Sprintf("Sign/alg=es256/impl=%s/batch=%d", impl, batch), "ns-cpu/sig"}
	}
	verifiedBy := func(keys, impl string) value {
		return value{"bench", fmt.Sprintf("VerifySig/alg=es256/keys=%s/impl=%s", keys, impl), "ns-cpu/sig"}
	}
	verified := func(impl string) value { return verifiedBy("one", impl) }
	foreign := func(name string) value { return value{"openssl", name, "ns-cpu/sig"} }
	add("ES256 signed, portable, batches of 256 ÷ crypto/ecdsa", "≥ 1.5", signed("crypto", 1), signed("portable", 256))
	add("ES256 signed, wide, batches of 256 ÷ crypto/ecdsa", "", signed("crypto", 1), signed("wide", 256))
	add("a lone ES256 signature, portable ÷ crypto/ecdsa", "≥ 1", signed("crypto", 1), signed("portable", 1))
	add("ES256 signed, wide, batches of 256, proved ÷ OpenSSL", "≥ 15", foreign(opensslSign), signed("wide", 256))
	add("ES256 signed, wide, batches of 16 ÷ OpenSSL", "≥ 12", foreign(opensslSign), signed("wide", 16))
	add("ES256 verified, wide, one key ÷ crypto/ecdsa", "", verified("std"), verified("wide"))
	add("ES256 verified, wide, one key ÷ OpenSSL", "≥ 26", foreign(opensslVerify), verified("wide"))
	add("ES256 verified, wide, distinct keys ÷ OpenSSL", "≥ 8.5", foreign(opensslVerify), verifiedBy("distinct", "wide"))
	add("cms, list to durable store, best signer ÷ OpenSSL signing once", "≥ 8, wide",
		foreign(opensslSign), value{"bench", "Issue/env=cms/alg=es256/sink=store", "ns-cpu/voucher"})
	add("cms, every check of a stored run ÷ OpenSSL verifying once", "≥ 15, wide",
		foreign(opensslVerify), value{"bench", "Verify/env=cms/source=store", "ns-cpu/voucher"})

	for _, peer := range []struct{ env, name, made, best, read string }{
		{"cms", "smallstep-pkcs7", "≥ 3", "≥ 25, wide", "≥ 10"}, {"jws", "go-jose", "≥ 2.5", "≥ 20, wide", "≥ 10"}, {"cose", "go-cose", "≥ 1.7", "≥ 15, wide", "≥ 10"},
	} {
		of := func(top, impl string) value {
			return value{"peers", fmt.Sprintf("%s/env=%s/impl=%s", top, peer.env, impl), "ns-cpu/voucher"}
		}
		add(fmt.Sprintf("%s made in memory, portable ÷ %s", peer.env, peer.name), peer.made, of("Make", peer.name), of("Make", "portable"))
		add(fmt.Sprintf("%s made in memory, best signer ÷ %s", peer.env, peer.name), peer.best, of("Make", peer.name), of("Make", "vouchmill"))
		add(fmt.Sprintf("%s read, envelope ÷ %s", peer.env, peer.name), peer.read, of("Read", peer.name), of("Read", "vouchmill"))
		add(fmt.Sprintf("%s read, envelope and all leaves ÷ %s, envelope", peer.env, peer.name), "", of("Read", peer.name), of("Read", "vouchmill-whole"))
	}

	check := func(impl string) value { return value{"peers", "Check/impl=" + impl, "ns-cpu/voucher"} }
	add("every check of a mixed pile under one signer ÷ smallstep-pkcs7, parse and signature", "≥ 12, wide", check("smallstep-pkcs7"), check("vouchmill"))

	for _, env := range []string{"cms", "jws", "cose"} {
		for _, sink := range []string{"memory", "store"} {
			name := fmt.Sprintf("Issue/env=%s/alg=es256/sink=%s", env, sink)
			add(fmt.Sprintf("%s, whole run to %s, portable ÷ its signatures alone", env, sink), "≥ 0.88",
				signed("portable", 256), value{"portable", name, "ns-cpu/voucher"})
			add(fmt.Sprintf("%s, whole run to %s, wide ÷ its signatures alone", env, sink), "",
				signed("wide", 256), value{"bench", name, "ns-cpu/voucher"})
		}
		unsigned := value{"bench", fmt.Sprintf("Issue/env=%s/alg=none/sink=store", env), "ns-cpu/voucher"}
		add(env+", list to durable store without the signature ÷ crypto/ecdsa signing once", "≥ 20", signed("crypto", 1), unsigned)
		add(env+", every check of a voucher ÷ crypto/ecdsa verifying once", "",
			verified("std"), value{"bench", fmt.Sprintf("Verify/env=%s/source=memory", env), "ns-cpu/voucher"})
	}
	digest := func(impl string) value { return value{"bench", "Hash/hash=SHA-256/impl=" + impl, "ns-cpu/digest"} }
	add("SHA-256 of a content, prefix kept ÷ whole", "", digest("whole"), digest("scalar"))
	add("SHA-256 of a content, prefix kept and wide ÷ whole", "", digest("whole"), digest("wide"))
	add("SHA-256 of a content, sha256-simd ÷ crypto/sha256", "", digest("whole"), digest("sha256-simd"))
	online(add)
	return rows
}

// online compares the roles of package masa, registrar and pledge with the
// public-key operations of what they do, by crypto/ecdsa one at a time. Less is
// better.
func online(add func(text, aim string, over, under value)) {
	served := func(impl, unit string) value { return value{"bench", "MASAServer/impl=" + impl, "ns-cpu/" + unit} }
	beside := map[string]string{"wide": "std", "portable": "portable", "std": "std"} // wide may be missing, and a row needs one that is there
	for _, impl := range []string{"wide", "portable", "std"} {
		add("MASA over TLS, a request, "+impl+" ÷ its public-key operations", "≤ 1.7", served(impl, "request"), served(beside[impl], "ops"))
	}
	asked := func(impl, batch, unit string) value {
		return value{"bench", fmt.Sprintf("MASA/env=cms/impl=%s/batch=%s", impl, batch), "ns-cpu/" + unit}
	}
	for _, impl := range []string{"wide", "portable", "std"} {
		add("MASA without a network, a request, "+impl+", batches shared ÷ its public-key operations", "", asked(impl, "shared", "request"), asked(beside[impl], "shared", "ops"))
	}
	for _, impl := range []string{"wide", "portable"} {
		add("MASA without a network, a request, std, each by itself ÷ "+impl+", batches shared", "", asked("std", "one", "request"), asked(impl, "shared", "request"))
	}
	joined := func(text, aim, name string) {
		for _, side := range []string{"pledge", "registrar", "masa"} {
			add(fmt.Sprintf("%s, %s ÷ its public-key operations", text, side), aim, value{"bench", name, "ns-cpu/" + side}, value{"bench", name, "ns-cpu/" + side + "-ops"})
		}
	}
	joined("cms, a whole join", "≤ 1.5", "Join/env=cms")
	joined("jws, a whole join", "≤ 1.5", "Join/env=jws")
	joined("cms, a whole join over TLS, with its handshakes", "", "JoinServers/env=cms")
}
