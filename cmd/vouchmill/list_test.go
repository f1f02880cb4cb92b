package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestAListIsIssuedWholeInEveryFormat(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	for _, format := range []string{"cms", "jws", "cose"} {
		o := issueTo(t, store, serials(700), "--format", format, "--run", format).want(t, exitDone, "run "+format+": complete, 700 vouchers are durable")
		if !strings.HasPrefix(o.errs, "run "+format+"\n") {
			t.Errorf("the run's name is not the first that is said: %q", o.errs)
		}
	}
	call("verify", "--trust", shared.ca, "--store", store, "--progress", "none", "--serials", file(t, "d.csv", serials(700)), "--run", "cose").
		want(t, exitDone, "700 vouchers: 700 passed, 0 failed, 0 missing")
	call("verify", "--trust", shared.ca, "--store", store, "--progress", "none").want(t, exitDone, "2100 vouchers: 2100 passed")
	call("verify", "--trust", shared.pin, "--store", store, "--run", "jws", "--progress", "none").want(t, exitFailed, "700 failed")
}

func TestJSONResultsKeepTheirMembers(t *testing.T) {
	t.Parallel()
	store, list := freshStore(t), file(t, "d.csv", serials(20)+"SN-000001\n")
	always := []string{"vouchers", "signed", "rejected", "unchanged", "seconds"}
	with := func(more ...string) []string { return append(more, always...) }

	m := members(t, call(issueArgs(store, list, "--json", "--on-error", "skip", "--dry-run")...).want(t, exitFailed).out, with("dry-run")...)
	if m["vouchers"] != 20. || m["signed"] != 0. || m["rejected"] != 1. || m["dry-run"] != true {
		t.Errorf("dry run: %v", m)
	}
	args := issueArgs(store, list, "--json", "--on-error", "skip", "--run", "lot", "--stats", "--created-on", "2026-11-01T00:00:00Z", "--expires-on", "2027-01-01T00:00:00Z")
	m = members(t, call(args...).want(t, exitFailed).out, with("run", "stage-ns")...)
	if m["run"] != "lot" || m["vouchers"] != 20. || m["signed"] != 20. || m["rejected"] != 1. {
		t.Errorf("run: %v", m)
	}
	m = members(t, call(args...).want(t, exitDone).out, with("run", "already-complete", "resumed", "stage-ns")...)
	if m["already-complete"] != true || m["signed"] != 0. {
		t.Errorf("complete run: %v", m)
	}
	m = members(t, call("runs", "list", "--store", store, "--json").want(t, exitDone).out,
		"name", "state", "created-on", "vouchers", "format", "algorithm", "expires-on", "reproducible", "manifest-root")
	for name, want := range map[string]any{"name": "lot", "state": "complete", "created-on": "2026-11-01T00:00:00Z", "vouchers": 20., "format": "cms",
		"algorithm": "ES256", "expires-on": "2027-01-01T00:00:00Z", "reproducible": true} {
		if m[name] != want {
			t.Errorf("runs: %s is %v, want %v", name, m[name], want)
		}
	}
}

func TestProgressOfModeJSONIsALinePerObject(t *testing.T) {
	t.Parallel()
	o := issueTo(t, freshStore(t), serials(300), "--progress", "json")
	lines := strings.Split(strings.TrimSpace(o.errs), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(lines[0], "run ") || !strings.Contains(last, `"durable":300`) || !strings.Contains(last, `"final":true`) {
		t.Errorf("progress is %q", o.errs)
	}
}

func TestAListMayComeThroughStandardInputOrCompressed(t *testing.T) {
	t.Parallel()
	store, list := freshStore(t), serials(500)
	callWith(list, issueArgs(store, "-", "--run", "piped")...).want(t, exitDone, "500 vouchers")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(list)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	call(issueArgs(store, file(t, "d.csv.gz", packed.String()), "--run", "packed")...).want(t, exitDone, "500 vouchers")
	callWith(packed.String(), issueArgs(store, "-", "--run", "both")...).want(t, exitDone, "500 vouchers")
	call(issueArgs(store, file(t, "cut.gz", packed.String()[:packed.Len()/2]), "--run", "cut")...).want(t, exitIO, "cut.gz", "cut short")
	callWith("", issueArgs(store, "-")...).want(t, exitFailed, "standard input", "empty")
}

func TestFormsOfListsAreToldByContent(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	for name, text := range map[string]string{
		"crlf":      "serial-number\r\nA\r\nB\r\n",
		"bom":       "\xEF\xBB\xBFserial-number\nA\nB\n",
		"quotes":    "\"serial-number\",\"expires-on\"\n\"A\",\"30d\"\n\"B\",\n",
		"semicolon": "serial-number;expires-on\nA;30d\nB;\n",
		"ndjson":    "{\"serial-number\":\"A\"}\n{\"serial-number\":\"B\",\"expires-on\":\"never\"}\n",
		"cborseq":   "\xA1\x6Dserial-number\x61A\xA1\x6Dserial-number\x61B",
	} {
		call(issueArgs(store, file(t, name, text), "--run", name)...).want(t, exitDone, "2 vouchers")
	}
	if n := strings.Count(call("runs", "--store", store, "--json").want(t, exitDone).out, "\n"); n != 6 {
		t.Errorf("%d runs, want 6", n)
	}
}

func TestBadRowsStopTheRunAtTheirPlace(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	for name, c := range map[string]struct {
		list string
		say  []string
	}{
		"empty serial":         {"serial-number\nA\n\"\"\nC\n", []string{"line 3", "serial-number"}},
		"10,000 characters":    {"serial-number\nA\n" + long + "\n", []string{"line 3", "serial-number", "64"}},
		"not UTF-8":            {"serial-number\nA\n\xFFB\n", []string{"line 3", "UTF-8"}},
		"control character":    {"serial-number\nA\n\"B\x07\"\n", []string{"line 3", "control"}},
		"C1 control character": {"serial-number\nA\n\"B\u0085\"\n", []string{"line 3", "control"}},
		"outer blanks":         {"serial-number\nA\n\" B\"\n", []string{"line 3", "blank"}},
		"too many fields":      {"serial-number\nA\nB,C\n", []string{"line 3"}},
		"bare quote":           {"serial-number\nA\n\"B\"C\n", []string{"line 3"}},
		"unknown pin":          {"serial-number,pinned-domain-cert\nA,\nB,nowhere\n", []string{"line 3", "nowhere", "--pin nowhere=FILE"}},
		"bad issuer":           {"serial-number,idevid-issuer\nA,\nB,zz\n", []string{"line 3", "idevid-issuer"}},
		"bad date":             {"serial-number,expires-on\nA,\nB,2027-02-30\n", []string{"line 3", "expires-on"}},
		"leap second":          {"serial-number,expires-on\nA,\nB,2027-06-30T23:59:61Z\n", []string{"line 3", "expires-on"}},
		"expired":              {"serial-number,expires-on\nA,\nB,2001-01-01\n", []string{"line 3", "2001-01-01"}},
		"outlives the pin":     {"serial-number,expires-on\nA,\nB,2099-01-01\n", []string{"line 3", "2099-01-01", "pinned"}},
		"NDJSON":               {"{\"serial-number\":\"A\"}\n{\"serial-number\":1}\n", []string{"line 2", "serial-number"}},
		"duplicate members":    {"{\"serial-number\":\"A\"}\n{\"serial-number\":\"B\",\"serial-number\":\"C\"}\n", []string{"line 2", "serial-number"}},
		"duplicate":            {"serial-number\nA\nB\nA\n", []string{"line 4", "line 2", `"A"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := freshStore(t)
			call(issueArgs(store, file(t, "devices.csv", c.list))...).want(t, exitFailed, append(c.say, "--on-error skip")...)
			if o := call("runs", "--store", store, "--json").want(t, exitDone); o.out != "" {
				t.Errorf("a run without a durable voucher was left behind: %s", o.out)
			}
		})
	}
}

func TestListsThatCannotBeReadSayWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		list string
		code int
		say  []string
	}{
		"empty":          {"", exitFailed, []string{"devices", "empty"}},
		"header only":    {"serial-number\n", exitFailed, []string{"no device"}},
		"unknown column": {"serial-number,idevid-isuer\nA,\n", exitUsage, []string{"idevid-isuer", "did you mean", "idevid-issuer"}},
		"column twice":   {"serial-number,serial-number\nA,B\n", exitUsage, []string{"serial-number"}},
		"no serials":     {"expires-on\n1d\n", exitUsage, []string{"serial-number"}},
		"random":         {"\x7FELF\x02\x01\x01\x00\x93\x8a\xf1", exitUsage, []string{"devices"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call(issueArgs(freshStore(t), file(t, "devices", c.list))...).want(t, c.code, c.say...)
		})
	}
	missing := filepath.Join(t.TempDir(), "none.csv")
	call(issueArgs(freshStore(t), missing)...).want(t, exitIO, missing)
}

func TestCompressionBombsAreCutOff(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	fmt.Fprint(z, "serial-number\n")
	zeros := bytes.Repeat([]byte("A"), 1<<20)
	for range 64 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	call(issueArgs(freshStore(t), file(t, "bomb.csv.gz", bomb.String()))...).want(t, exitFailed, "bomb.csv.gz")
}

func TestSkippedRowsAreWrittenDownWithTheirReasons(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	list := file(t, "devices.csv", "serial-number\nA\n\"B\x07\"\nC\nA\n")
	rejects := file(t, "rejects.csv", "of an earlier run")
	args := issueArgs(store, list, "--on-error", "skip", "--rejects", rejects, "--run", "lot")
	call(args...).want(t, exitFailed, "rows left out: 2", "2 vouchers are durable")
	lines := strings.Split(strings.TrimSpace(read(t, rejects)), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "file,line,") || !strings.Contains(lines[1], ",3,") || !strings.Contains(lines[2], ",5,") || !strings.Contains(lines[2], "line 2") {
		t.Errorf("rejects are %q", lines)
	}
	before := read(t, rejects)
	call(args...).want(t, exitDone, "already complete")
	if after := read(t, rejects); after != before {
		t.Errorf("a run that was complete emptied the rejects: %q", after)
	}
	for _, c := range []string{"A", "C"} {
		call("get", "--store", store, "--serial", c).want(t, exitDone)
	}
	call(issueArgs(store, list, "--on-error", "skip", "--rejects", filepath.Join(t.TempDir(), "no/such/dir.csv"))...).want(t, exitIO, "dir.csv")
}

func TestSerialsAreTakenVerbatim(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	for i, serial := range []string{`quote"d`, "Ünïcødé", "a,b;c", "{}", "sp ace", "../../etc", strings.Repeat("9", 64)} {
		run := fmt.Sprint("r", i)
		issueTo(t, store, "serial-number\n\""+strings.ReplaceAll(serial, `"`, `""`)+"\"\n", "--run", run)
		call("get", "--store", store, "--serial", serial).want(t, exitDone)
	}
	long := strings.Repeat("L", 1024)
	call(issueArgs(store, file(t, "d", "serial-number\n"+long+"\n"), "--serial-bytes", "1024")...).want(t, exitDone)
	call("get", "--store", store, "--serial", long).want(t, exitDone)
}

func TestDryRunChecksEverythingAndWritesNothing(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	list := file(t, "d.csv", serials(2000))
	call(issueArgs(store, list, "--dry-run")...).want(t, exitDone, "2000 vouchers would be signed", "nothing is signed")
	if o := call("runs", "--store", store); o.code != exitIO {
		t.Fatalf("the dry run made a store: %+v", o)
	}
	issueTo(t, store, serials(5), "--run", "older")
	before := tree(t, store)
	call(issueArgs(store, list, "--dry-run")...).want(t, exitDone)
	call(issueArgs(store, list, "--dry-run", "--delta", "older")...).want(t, exitDone)
	call(issueArgs(store, file(t, "d.csv", serials(2000)+"SN-000007\n"), "--dry-run")...).want(t, exitFailed, "line 2002")
	if after := tree(t, store); after != before {
		t.Errorf("the store was\n%sand is\n%s", before, after)
	}
}

func TestDeltaSignsNewChangedAndExpiringDevicesOnly(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	issueTo(t, store, "serial-number,expires-on\nA,365d\nB,10d\nC,365d\n", "--run", "first")
	issueTo(t, store, "serial-number\nA\nB\nC\nD\n", "--run", "second", "--delta", "first").
		want(t, exitDone, "2 signed now", "2 unchanged since run first")
	for serial, run := range map[string]string{"A": "first", "B": "second", "C": "first", "D": "second"} {
		call("get", "--store", store, "--serial", serial, "--proof").want(t, exitDone, `"run":"`+run+`"`)
	}
	call(issueArgs(store, file(t, "d.csv", "serial-number\nA\n"), "--delta", "zeroth")...).want(t, exitUsage, "zeroth")
}
