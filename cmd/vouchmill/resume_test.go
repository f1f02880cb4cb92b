//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is the program at work on a list that comes through a pipe, so that
// a test decides how far it gets.
type process struct {
	cmd  *exec.Cmd
	list io.WriteCloser
	errs *bufio.Reader
	out  bytes.Buffer
	said strings.Builder
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(path, args...)}
	p.cmd.Stdout = &p.out
	if p.list, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.errs = bufio.NewReader(errs)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

// line returns the next line of standard error, "" at its end.
func (p *process) line() string {
	line, _ := p.errs.ReadString('\n')
	p.said.WriteString(line)
	return line
}

// until reads standard error up to a line that matches.
func (p *process) until(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		line := p.line()
		if m := re.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			return m
		}
		if line == "" {
			t.Fatalf("it never said %q: %s%s", pattern, &p.said, &p.out)
		}
	}
}

// end closes the list and returns what became of the process.
func (p *process) end() outcome {
	p.list.Close()
	for p.line() != "" {
	}
	p.cmd.Wait()
	return outcome{p.cmd.ProcessState.ExitCode(), p.out.String(), p.said.String()}
}

// A journey is one issue command that is repeated until it is done.
type journey struct {
	store, list string
	args        []string
}

func newJourney(t *testing.T, n int, format string) *journey {
	j := &journey{store: freshStore(t), list: serials(n)}
	j.args = issueArgs(j.store, "-", "--format", format, "--run", "lot", "--created-on", "2026-11-01T00:00:00Z", "--progress", "json")
	return j
}

// whole is the same journey without an interruption, in a store of its own.
func (j *journey) whole(t *testing.T) string {
	t.Helper()
	store := freshStore(t)
	callWith(j.list, append(j.args[:len(j.args):len(j.args)], "--store", store, "--progress", "none")...).want(t, exitDone)
	return store
}

// sameAs compares the finished run with that of another store: manifest, every
// voucher, and what a look-up finds.
func (j *journey) sameAs(t *testing.T, store string) {
	t.Helper()
	dir := t.TempDir()
	bundles := map[string]string{j.store: filepath.Join(dir, "a.tar"), store: filepath.Join(dir, "b.tar")}
	for from, to := range bundles {
		call("export", "--store", from, "--out", to, "--progress", "none").want(t, exitDone)
	}
	if read(t, bundles[j.store]) != read(t, bundles[store]) {
		t.Error("the run differs from an uninterrupted one")
	}
	for _, serial := range []string{"SN-000000", "SN-000777", "SN-001999"} {
		a := call("get", "--store", j.store, "--serial", serial, "--proof").want(t, exitDone)
		b := call("get", "--store", store, "--serial", serial, "--proof").want(t, exitDone)
		if a.out != b.out {
			t.Errorf("the proofs for %s differ", serial)
		}
	}
	call("store", "check", "--store", j.store).want(t, exitDone, "0 damages")
}

func TestKilledAgainAndAgainTheSameCommandEndsWithTheSameBytes(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 120_000, "cms")
	whole := j.whole(t)
	durable, resumed := 0, 0
	for kill := range 6 {
		p := start(t, j.args...)
		if m := p.until(t, `^run lot(: continuing, (\d+) vouchers are durable)?$`); m[1] != "" {
			n, _ := strconv.Atoi(m[2])
			if n < durable {
				t.Fatalf("kill %d: %d vouchers are durable, %d were", kill, n, durable)
			}
			durable, resumed = n, resumed+1
		}
		go j.feed(p.list, durable)
		time.Sleep(time.Duration(50+rand.IntN(800)) * time.Millisecond)
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if o := p.end(); o.code != -1 {
			t.Fatalf("kill %d came too late: exit code %d, %s", kill, o.code, o.errs)
		}
	}
	if resumed == 0 || durable == 0 {
		t.Errorf("no kill hit a run that had something: %d resumed, %d durable", resumed, durable)
	}
	call("runs", "--store", j.store).want(t, exitDone, "unfinished")
	callWith(j.list, j.args...).want(t, exitDone, "run lot: complete, 120000 vouchers")
	j.sameAs(t, whole)
}

// feed writes the list: what is durable at once, the rest slowly, a page or
// several at a time.
func (j *journey) feed(w io.Writer, durable int) {
	row := len(j.list) / strings.Count(j.list, "\n")
	quick := min(len(j.list)*3/4, durable*row)
	if _, err := io.WriteString(w, j.list[:quick]); err != nil {
		return
	}
	for rest := j.list[quick : len(j.list)-1]; len(rest) > 0; { // never the end: it must not finish
		n := min(len(rest), 1500*row)
		if _, err := io.WriteString(w, rest[:n]); err != nil {
			return
		}
		rest = rest[n:]
		time.Sleep(40 * time.Millisecond)
	}
	time.Sleep(time.Minute)
}

func TestASignalStopsDurablyAndTheSameCommandContinues(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			j := newJourney(t, 20_000, "cose")
			whole := j.whole(t)
			p := start(t, j.args...)
			p.until(t, `^run lot$`)
			if _, err := io.WriteString(p.list, j.list[:len(j.list)/2]); err != nil {
				t.Fatal(err)
			}
			p.until(t, `"done":9\d{3},`)
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			// The list stays open: the signal must end the wait for its next row.
			m := p.until(t, `interrupted: (\d+) vouchers of run lot are durable; the same command continues`)
			p.end().want(t, exitInterrupted)
			if n, _ := strconv.Atoi(m[1]); n < 9_000 || n > 10_000 {
				t.Errorf("%d vouchers are durable of the 10,000 rows that were read", n)
			}
			callWith(j.list, j.args...).want(t, exitDone, "run lot: continuing, "+m[1]+" vouchers are durable", "complete, 20000 vouchers")
			j.sameAs(t, whole)
		})
	}
}

func TestAnotherProcessIsToldWhoHoldsTheStore(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 2_000, "jws")
	p := start(t, j.args...)
	p.until(t, `^run lot$`)
	if _, err := io.WriteString(p.list, j.list[:len(j.list)/2]); err != nil {
		t.Fatal(err)
	}
	p.until(t, `"done":[1-9]`)
	holder := fmt.Sprintf("process %d, run lot", p.cmd.Process.Pid)
	for _, args := range [][]string{
		issueArgs(j.store, file(t, "d.csv", serials(3))), {"get", "--store", j.store, "--serial", "SN-000001"}, {"runs", "--store", j.store},
		{"store", "check", "--store", j.store}, {"verify", "--trust", shared.ca, "--store", j.store}, {"export", "--store", j.store, "--out", filepath.Join(t.TempDir(), "b.tar")},
	} {
		path, err := built()
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(path, args...).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != exitIO || !strings.Contains(string(out), holder) {
			t.Errorf("%v: %v, %s, want exit code %d and %q", args[0], err, out, exitIO, holder)
		}
	}
	if _, err := io.WriteString(p.list, j.list[len(j.list)/2:]); err != nil {
		t.Fatal(err)
	}
	p.end().want(t, exitDone, "complete, 2000 vouchers")
}

func TestReadingAfterAKillRecoversTheStoreAndSaysSo(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 200_000, "cms")
	p := start(t, j.args...)
	p.until(t, `^run lot$`)
	go j.feed(p.list, 0)
	p.until(t, `"durable":[1-9]`)
	p.cmd.Process.Kill()
	p.end()
	call("get", "--store", j.store, "--serial", "SN-000000").want(t, exitDone, "not closed cleanly; it was recovered")
	if o := call("get", "--store", j.store, "--serial", "SN-000000").want(t, exitDone); o.errs != "" {
		t.Errorf("said again: %s", o.errs)
	}
}
