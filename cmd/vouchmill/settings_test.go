package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// in is a time so many days from now, as flags take it.
func in(days int) string {
	return time.Now().UTC().AddDate(0, 0, days).Truncate(time.Second).Format(time.RFC3339)
}

func TestEveryRequiredSettingIsAskedForByName(t *testing.T) {
	t.Parallel()
	all := map[string]string{"store": freshStore(t), "devices": file(t, "d.csv", serials(1)), "key": shared.key, "cert": shared.cert, "pin": shared.pin, "expires-on": "1d"}
	for missing := range all {
		args := []string{"issue"}
		for flag, value := range all {
			if flag != missing {
				args = append(args, "--"+flag, value)
			}
		}
		call(args...).want(t, exitUsage, "--"+missing, "profile")
	}
}

func TestSettingsThatCannotBeAreRefusedByName(t *testing.T) {
	t.Parallel()
	list := file(t, "d.csv", serials(2))
	for _, c := range []struct {
		args []string
		say  []string
	}{
		{[]string{"--format", "pgp"}, []string{"--format", "pgp"}},
		{[]string{"--assertion", "proximity"}, []string{"--assertion", "proximity", "nobody observed"}},
		{[]string{"--assertion", "agent-proximity"}, []string{"--assertion", "agent-proximity", "nobody observed"}},
		{[]string{"--assertion", "hearsay"}, []string{"--assertion", "hearsay"}},
		{[]string{"--created-on", "2026-02-30T00:00:00Z"}, []string{"--created-on", "2026-02-30"}},
		{[]string{"--created-on", "2026-01-01T00:00:00.5Z"}, []string{"--created-on", "whole seconds"}},
		{[]string{"--created-on", "yesterday"}, []string{"--created-on", "yesterday"}},
		{[]string{"--expires-on", "soon"}, []string{"--expires-on", "soon"}},
		{[]string{"--expires-on", "-5d"}, []string{"--expires-on", "-5d"}},
		{[]string{"--expires-on", "2001-01-01T00:00:00Z"}, []string{"2001-01-01T00:00:00Z", "created-on"}},
		{[]string{"--pin-as", "photo"}, []string{"--pin-as", "photo"}},
		{[]string{"--pin", shared.pin}, []string{"--pin", "NAME=FILE"}},
		{[]string{"--idevid-issuer", "xyz"}, []string{"--idevid-issuer", "xyz", "hex"}},
		{[]string{"--idevid-issuer", "0418"}, []string{"idevid-issuer"}},
		{[]string{"--serial-bytes", "1025"}, []string{"--serial-bytes", "1024"}},
		{[]string{"--workers", "0"}, []string{"--workers", "1 to 1024"}},
		{[]string{"--on-error", "shrug"}, []string{"--on-error", "stop", "skip"}},
		{[]string{"--progress", "loud"}, []string{"--progress", "plain"}},
		{[]string{"--run", "a\x01b"}, []string{"--run"}},
		{[]string{"--run", "../up"}, []string{"../up"}},
		{[]string{"--run", ""}, []string{"--run"}},
		{[]string{"--delta", "none-such"}, []string{"--delta", "none-such"}},
		{[]string{"--est-domain", "est.example"}, []string{"--est-domain", "https://"}},
		{[]string{"--jsn"}, []string{"--jsn"}},
		{[]string{"stray"}, []string{"stray"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			store := freshStore(t)
			call(issueArgs(store, list, c.args...)...).want(t, exitUsage, c.say...)
			if o := call("runs", "--store", store, "--json"); o.code == exitDone && o.out != "" {
				t.Errorf("a run was left behind: %s", o.out)
			}
		})
	}
}

func TestUnknownCommandsAndFlagsAreUsageErrors(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"isue"}, {"runs", "--store"}, {"get", "--nope"}, {"runs", "show", "--store", "x"}, {"inspect"}, {"store", "chek"}} {
		o := call(args...)
		if o.code != exitUsage || !strings.HasPrefix(o.errs, "vouchmill: ") {
			t.Errorf("%v: exit code %d, %q", args, o.code, o.errs)
		}
	}
	for _, args := range [][]string{{}, {"--help"}, {"help", "issue"}, {"issue", "--help"}, {"version"}, {"completion", "bash"}, {"issue", "--help-profile"}} {
		if o := call(args...); o.code != exitDone || o.out == "" {
			t.Errorf("%v: exit code %d, output %q, %s", args, o.code, o.out, o.errs)
		}
	}
}

func TestManualPagesCoverEveryCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	call("man", "--out", dir).want(t, exitDone)
	for _, name := range []string{"", "-keygen", "-issue", "-get", "-export", "-verify", "-inspect", "-runs-list", "-runs-show", "-runs-delete", "-store-check", "-demo"} {
		if page := read(t, filepath.Join(dir, "vouchmill"+name+".1")); !strings.Contains(page, ".TH") {
			t.Errorf("vouchmill%s.1 is no manual page", name)
		}
	}
}

func TestExpiryBehindThePinnedCertificateIsRefusedWithBothDates(t *testing.T) {
	t.Parallel()
	expires := in(60)
	args := issueArgs(freshStore(t), file(t, "d.csv", serials(2)), "--expires-on", expires)
	for i, a := range args {
		if a == "--pin" {
			args[i+1] = shared.shortPin
		}
	}
	o := call(args...).want(t, exitUsage, expires, "pinned certificate", "CN=short CA")
	// The 30 days of the pinned certificate were counted from an hour before the tests began.
	if !strings.Contains(o.errs, in(30)[:8]) && !strings.Contains(o.errs, in(29)[:8]) {
		t.Errorf("the end of the certificate is not named: %s", o.errs)
	}
}

func TestExpiryBehindTheSignerIsAWarningWithBothDates(t *testing.T) {
	t.Parallel()
	expires := in(60)
	o := call(issueArgs(freshStore(t), file(t, "d.csv", serials(2)), "--expires-on", expires,
		"--key", filepath.Join(shared.dir, "short/masa.key"), "--cert", filepath.Join(shared.dir, "short/masa.pem"))...)
	o.want(t, exitDone, "warning: ", "outlive", expires, in(29)[:5])
}

func TestVouchersThatNeverExpireAreWarnedOf(t *testing.T) {
	t.Parallel()
	issueTo(t, freshStore(t), serials(1), "--expires-on", "never").want(t, exitDone, "warning: ", "never expire")
}

func TestFlagsWinOverTheProfile(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	profile := file(t, "profile.yaml", strings.Join([]string{
		"key: " + shared.key, "cert: " + shared.cert, "pin:", "  east: " + shared.pin, "  west: " + shared.ca,
		"format: jws", "expires-on: 30d", "created-on: 2026-11-01T00:00:00Z", "assertion: verified", "domain-cert-revocation-checks: true",
		"est-domain: https://est.example.com/", "run: from-profile", "progress: none"}, "\n"))
	list := "serial-number,pinned-domain-cert\nA,east\nB,west\n"
	call("issue", "--profile", profile, "--store", store, "--devices", file(t, "d.csv", list), "--run", "from-flags", "--assertion", "logged").want(t, exitDone)
	m := members(t, call("runs", "show", "from-flags", "--store", store, "--json").want(t, exitDone).out,
		"name", "state", "created-on", "vouchers", "format", "algorithm", "expires-on", "reproducible", "manifest-root", "header")
	header := m["header"].(map[string]any)
	if m["format"] != "jws" || header["assertion"] != "logged" || header["est-domain"] != "https://est.example.com/" || m["created-on"] != "2026-11-01T00:00:00Z" {
		t.Errorf("the run is %v", m)
	}
}

func TestProfilesAreStrict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		say  []string
	}{
		"unknown key":   {"formt: cms\n", []string{"formt", "did you mean format?", "line 1"}},
		"key twice":     {"format: cms\nformat: jws\n", []string{"format", "line 1", "line 2"}},
		"bad value":     {"expires-on: 1d\nassertion: proximity\n", []string{"assertion", "line 2", "nobody observed"}},
		"not a mapping": {"- format\n", []string{"mapping"}},
		"not YAML":      {"\tformat: [\n", []string{"profile.yaml"}},
		"alias":         {"key: &a x\ncert: *a\n", []string{"profile.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			profile := file(t, "profile.yaml", c.text)
			call(issueArgs(freshStore(t), file(t, "d.csv", serials(1)), "--profile", profile)...).want(t, exitUsage, append(c.say, "profile.yaml")...)
		})
	}
	call(issueArgs(freshStore(t), "d.csv", "--profile", filepath.Join(t.TempDir(), "none.yaml"))...).want(t, exitIO, "--profile", "none.yaml")
}

func TestPassphraseIsNotAskedForWithoutATerminal(t *testing.T) {
	t.Parallel()
	call("keygen", "--out", filepath.Join(t.TempDir(), "keys"), "--encrypt").want(t, exitUsage, "--key-pass-file", passEnv)
}
