package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// twoIssuers is a list with one serial number of two manufacturers' devices.
const (
	issuerA    = "04183016801400112233445566778899aabbccddeeff00000001"
	issuerB    = "04183016801400112233445566778899aabbccddeeff00000002"
	twoIssuers = "serial-number,idevid-issuer\nS1," + issuerA + "\nS1," + issuerB + "\nS2,\n"
)

func TestGetAsksWhichIssuerIsMeant(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	issueTo(t, store, twoIssuers, "--run", "lot")
	call("get", "--store", store, "--serial", "S1").want(t, exitUsage, "--idevid-issuer", issuerA, issuerB)
	a := call("get", "--store", store, "--serial", "S1", "--idevid-issuer", issuerA, "--proof").want(t, exitDone, `"leaf-index":0,`)
	b := call("get", "--store", store, "--serial", "S1", "--idevid-issuer", issuerB[len(issuerB)-40:], "--proof").want(t, exitDone, `"leaf-index":1,`) // the bare key identifier
	if a.out == b.out {
		t.Error("both devices have one proof")
	}
	call("get", "--store", store, "--serial", "S1", "--idevid-issuer", strings.Repeat("ab", 20)).want(t, exitFailed, `"S1"`)
	call("get", "--store", store, "--serial", "S1", "--idevid-issuer", "04").want(t, exitUsage, "--idevid-issuer")
	call("get", "--store", store, "--serial", "S2").want(t, exitDone)
}

func TestGetOfAnUnknownDeviceIsAFailureWithoutOutput(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	issueTo(t, store, serials(10), "--run", "lot")
	for _, args := range [][]string{{"--serial", "SN-X"}, {"--serial", ""}, {"--serial", "SN-000001\n"}, {"--serial", "sn-000001"}} {
		if o := call(append([]string{"get", "--store", store}, args...)...).want(t, exitFailed, "no voucher"); o.out != "" {
			t.Errorf("%v: output %q", args, o.out)
		}
	}
	call("get", "--store", store, "--serial", "SN-000001", "--run", "none").want(t, exitUsage, "none")
	call("get", "--store", store).want(t, exitUsage, "serial")
}

func TestGetGivesTheNewestVoucherAndAllOfThem(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	for i, name := range []string{"first", "second", "third"} {
		issueTo(t, store, serials(50), "--run", name, "--format", "jws", "--created-on", fmt.Sprintf("2026-11-%02dT00:00:00Z", 9-i))
	}
	one := func(run string) string {
		return call("get", "--store", store, "--serial", "SN-000007", "--run", run).want(t, exitDone).out
	}
	newest := call("get", "--store", store, "--serial", "SN-000007").want(t, exitDone).out
	all := call("get", "--store", store, "--serial", "SN-000007", "--all").want(t, exitDone).out
	if newest != one("third") {
		t.Error("the newest voucher is not that of the run begun last, whatever its created-on")
	}
	if all != one("third")+one("second")+one("first") {
		t.Error("--all gives not all vouchers, newest first")
	}
}

func TestProofLeadsFromTheVoucherToTheSignedManifest(t *testing.T) {
	t.Parallel()
	dir := freshStore(t)
	const count, serial = 1000, "SN-000123"
	issueTo(t, dir, serials(count), "--run", "lot", "--format", "jws")
	voucher := call("get", "--store", dir, "--serial", serial).want(t, exitDone).out
	proof, err := manifest.ParseProof([]byte(call("get", "--store", dir, "--serial", serial, "--proof").want(t, exitDone).out))
	if err != nil {
		t.Fatal(err)
	}
	signed := finalOf(t, dir, "lot")
	roots, err := sign.LoadCertificates([]byte(read(t, shared.ca)))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := signed.Verify(verifier, roots, time.Now()); err != nil {
		t.Fatal(err)
	}
	var e codec.Envelope
	d := codec.EnvelopeDecoder{Limits: codec.DefaultLimits()}
	if err := d.Decode([]byte(voucher), &e); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(e.Signers[0].Signed)
	leaf := manifest.LeafHash(digest[:], e.Signers[0].Signature)
	if err := proof.Verify(signed.Manifest, leaf); err != nil {
		t.Fatal(err)
	}
	leaf[0] ^= 1
	if err := proof.Verify(signed.Manifest, leaf); err == nil {
		t.Error("the proof holds for another voucher")
	}
}

// inRun opens a store for a look at one of its runs.
func inRun(t *testing.T, dir, name string, look func(*store.Run)) {
	t.Helper()
	s, err := store.Open(dir, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Run(name)
	if err != nil {
		t.Fatal(err)
	}
	look(r)
}

// finalOf returns the signed manifest of a run.
func finalOf(t *testing.T, dir, name string) (signed *manifest.Signed) {
	t.Helper()
	inRun(t, dir, name, func(r *store.Run) {
		var err error
		if signed, err = manifest.Parse(r.Final()); err != nil {
			t.Fatal(err)
		}
	})
	return signed
}

func TestRunsAreListedShownAndDeleted(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	issueTo(t, store, serials(30), "--run", "east")
	issueTo(t, store, serials(40), "--run", "west", "--format", "cose")
	o := call("runs", "--store", store).want(t, exitDone, "RUN", "east", "west", "complete", "ES256")
	if n := strings.Count(o.out, "\n"); n != 3 {
		t.Errorf("%d lines, want a header and two runs: %s", n, o.out)
	}
	call("runs", "show", "east", "--store", store).want(t, exitDone, `"name": "east"`, `"vouchers": 30`)
	call("runs", "show", "north", "--store", store).want(t, exitUsage, "north")
	call("runs", "delete", "east", "--store", store).want(t, exitUsage, "--yes")
	call("get", "--store", store, "--serial", "SN-000001", "--run", "east").want(t, exitDone)
	call("runs", "delete", "east", "--store", store, "--yes").want(t, exitDone, "east")
	call("runs", "delete", "east", "--store", store, "--yes").want(t, exitUsage, "east")
	call("get", "--store", store, "--serial", "SN-000001", "--run", "east").want(t, exitUsage, "east")
	call("get", "--store", store, "--serial", "SN-000039").want(t, exitDone)
	call("runs", "--store", store, "--page", "2").want(t, exitUsage, "--page 2")
	call("runs", "--store", store, "--page", "0").want(t, exitUsage, "--page 0")
	call("runs", "--store", store, "--page", "9223372036854775807").want(t, exitUsage, "--page")
}

func TestNamelessRunsGetANameOfTheirTime(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	name := regexp.MustCompile(`^run (\d{8}T\d{6}Z-[0-9a-f]{4})\n`)
	first := name.FindStringSubmatch(issueTo(t, store, serials(3)).errs)
	second := name.FindStringSubmatch(issueTo(t, store, serials(3)).errs)
	if first == nil || second == nil || first[1] == second[1] {
		t.Errorf("runs are named %v and %v", first, second)
	}
}

func TestTheSameNameWithOtherSettingsListsTheDifferences(t *testing.T) {
	t.Parallel()
	store, list := freshStore(t), file(t, "d.csv", serials(5))
	base := []string{"--run", "lot", "--created-on", "2026-11-01T00:00:00Z"}
	call(issueArgs(store, list, base...)...).want(t, exitDone)
	call(issueArgs(store, list, append(base, "--format", "jws", "--assertion", "verified", "--created-on", "2026-11-02T00:00:00Z")...)...).
		want(t, exitUsage, "run lot exists with other settings", "format: the run has cms, asked for jws", "assertion: ", "created-on: the run has 2026-11-01T00:00:00Z, asked for 2026-11-02T00:00:00Z")
	call(issueArgs(store, list, append(base, "--workers", "1")...)...).want(t, exitDone, "already complete")
	call(issueArgs(store, list, "--run", "lot")...).want(t, exitDone, "already complete") // created-on is the run's own
}

func TestAnUnfinishedRunIsContinuedWithoutItsName(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	lines := strings.SplitAfter(serials(3000), "\n")
	broken := strings.Join(lines[:2000], "") + "\"\x07\"\n" + strings.Join(lines[2000:], "")
	o := call(issueArgs(store, file(t, "d.csv", broken))...).want(t, exitFailed, "line 2001", "are durable")
	name := regexp.MustCompile(`^run (\S+)\n`).FindStringSubmatch(o.errs)[1]
	call("runs", "--store", store).want(t, exitDone, name, "unfinished")
	call("export", "--store", store, "--out", filepath.Join(t.TempDir(), "b.tar")).want(t, exitUsage, name)
	// Other settings begin a run of their own.
	other := issueTo(t, store, serials(3000), "--format", "cose")
	if strings.Contains(other.errs, name) {
		t.Errorf("a run with other settings was continued: %s", other.errs)
	}
	// The list is not the one the run began with.
	changed := append([]string{}, lines...)
	changed[99] = "OTHER\n"
	call(issueArgs(store, file(t, "d.csv", strings.Join(changed, "")))...).want(t, exitUsage, "line 100", `"OTHER"`, name)
	call(issueArgs(store, file(t, "d.csv", strings.Join(lines[:100], "")))...).want(t, exitUsage, "end of the device list", name)
	issueTo(t, store, strings.Join(lines, "")).want(t, exitDone, "run "+name+": continuing, ", "run "+name+": complete, 3000 vouchers")
	call("verify", "--store", store, "--run", name, "--trust", shared.ca, "--progress", "none", "--serials", file(t, "d.csv", serials(3000))).
		want(t, exitDone, "3000 passed, 0 failed, 0 missing")
}

func TestHedgedRunsSayThatTheyAreNotReproducible(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	issueTo(t, store, serials(5), "--run", "hedged", "--hedged")
	m := members(t, call("runs", "--store", store, "--json").want(t, exitDone).out,
		"name", "state", "created-on", "vouchers", "format", "algorithm", "expires-on", "reproducible", "manifest-root")
	if m["reproducible"] != false {
		t.Errorf("reproducible is %v", m["reproducible"])
	}
}

func TestBundlesOfEveryKindVerifyAndAreReproducible(t *testing.T) {
	t.Parallel()
	store, dir := freshStore(t), t.TempDir()
	issueTo(t, store, twoIssuers+"a/b,\n", "--run", "lot")
	for _, name := range []string{"b.tar", "b.tar.gz", "b.ndjson", "b.ndjson.zst", "b.cborseq", "b/"} {
		out := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			out += "/"
		}
		call("export", "--store", store, "--out", out, "--progress", "none").want(t, exitDone, "4 vouchers exported")
		call("verify", "--trust", shared.ca, "--progress", "none", out).want(t, exitDone, "4 vouchers: 4 passed", "manifest of ", "holds, run lot")
		call("export", "--store", store, "--out", out, "--progress", "none").want(t, exitUsage, name[:1])
	}
	again := filepath.Join(dir, "again.tar")
	call("export", "--store", store, "--out", again, "--workers", "1", "--progress", "none").want(t, exitDone)
	if read(t, again) != read(t, filepath.Join(dir, "b.tar")) {
		t.Error("two exports of one run differ")
	}
	for _, name := range []string{"S1~00112233445566778899aabbccddeeff00000001.vcj", "S2.vcj", "a%2Fb.vcj", "manifest.json"} {
		if _, err := os.Stat(filepath.Join(dir, "b", name)); err != nil {
			t.Error(err)
		}
	}
	issueTo(t, store, serials(3), "--run", "other")
	call("export", "--store", store, "--out", filepath.Join(dir, "c.tar")).want(t, exitUsage, "--run", "lot", "other")
	call("export", "--store", store, "--out", filepath.Join(dir, "c.zip"), "--run", "lot").want(t, exitUsage, "c.zip")
	call("export", "--store", store, "--out", "-", "--run", "lot").want(t, exitUsage, "--kind")
	if o := call("export", "--store", store, "--out", "-", "--kind", "tar", "--run", "lot", "--progress", "none").want(t, exitDone); o.out != read(t, again) {
		t.Error("the bundle on standard output differs from the file")
	}
}

func TestAlteredBundlesFailByName(t *testing.T) {
	t.Parallel()
	store, dir := freshStore(t), filepath.Join(t.TempDir(), "bundle")
	issueTo(t, store, serials(10), "--run", "lot", "--format", "jws")
	call("export", "--store", store, "--out", dir+"/", "--progress", "none").want(t, exitDone)
	path := filepath.Join(dir, "SN-000003.vjj")
	good := read(t, path)
	for name, bad := range map[string]string{
		"signature": good[:len(good)-20] + "AAAA" + good[len(good)-16:],
		"payload":   strings.Replace(good, `"payload":"e`, `"payload":"f`, 1),
		"truncated": good[:len(good)/2],
		"empty":     "",
		"exchanged": read(t, filepath.Join(dir, "SN-000004.vjj")),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			call("verify", "--trust", shared.ca, "--progress", "none", dir).want(t, exitFailed, "SN-000003")
		})
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	call("verify", "--trust", shared.ca, "--progress", "none", dir).want(t, exitFailed, "manifest")
}

func TestInspectReadsAnyVoucherAndRefusesNonsense(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	for _, format := range []string{"cms", "jws", "cose"} {
		issueTo(t, store, serials(3), "--run", format, "--format", format)
		voucher := call("get", "--store", store, "--run", format, "--serial", "SN-000001").want(t, exitDone).out
		call("inspect", file(t, "v", voucher)).want(t, exitDone, "SN-000001")
		callWith(voucher, "inspect", "-", "--json").want(t, exitDone, "SN-000001")
		callWith(fmt.Sprintf("%x\n", voucher), "inspect", "-").want(t, exitDone, "SN-000001")
	}
	callWith("", "inspect", "-").want(t, exitFailed)
	callWith("nonsense", "inspect", "-").want(t, exitFailed)
	callWith(strings.Repeat("[", 100_000), "inspect", "-").want(t, exitFailed)
	call("inspect", filepath.Join(t.TempDir(), "none")).want(t, exitIO, "none")
	callWith(strings.Repeat("x", 4<<20), "inspect", "-").want(t, exitUsage, "no voucher artefact is that large")
}
