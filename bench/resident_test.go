package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// childEnv names the device list that a process of its own issues, to have its
// memory measured.
const childEnv = "VOUCHMILL_BENCH_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := issueAlone(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	programs.remove()
	os.Exit(code)
}

// BenchmarkResident issues N and then 10 N devices, each in a process of its own
// that signs nothing, and reports the most memory such a process had resident,
// pages of mapped files included: MiB, and for 10 N what each device beyond N
// took. Of the mapped pages as many stay resident as a slow disk leaves dirty.
func BenchmarkResident(b *testing.B) {
	if _, err := residentPeak(); err != nil {
		b.Skipf("the most memory a process had resident cannot be told here: %v", err)
	}
	n := must(Count())(b)
	var first uint64
	b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
		for b.Loop() {
			first = max(first, residentOf(b, n))
		}
		b.ReportMetric(float64(first)/(1<<20), "MiB")
	})
	b.Run(fmt.Sprintf("n=%d", 10*n), func(b *testing.B) {
		var peak uint64
		for b.Loop() {
			peak = max(peak, residentOf(b, 10*n))
		}
		b.ReportMetric(float64(peak)/(1<<20), "MiB")
		b.ReportMetric((float64(peak)-float64(first))/float64(9*n), "B/further-device")
	})
}

// residentOf returns the peak of a process that issues n devices, in octets.
func residentOf(b *testing.B, n uint64) uint64 {
	dir := b.TempDir()
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "devices.csv")
	if err := writeList(path, n); err != nil {
		b.Fatal(err)
	}
	self := must(os.Executable())(b)
	child := exec.Command(self)
	child.Env = append(os.Environ(), childEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.Output()
	if err != nil {
		b.Fatal(err)
	}
	return must(strconv.ParseUint(string(bytes.TrimSpace(out)), 10, 64))(b)
}

func writeList(path string, n uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join((&list.Synthetic{Count: n, Seed: 1}).Write(f), f.Close())
}

// issueAlone issues the list at path into a store beside it and prints the most
// memory that was resident.
func issueAlone(path string) error {
	f, err := NewFixture()
	if err != nil {
		return err
	}
	st, err := store.Open(filepath.Join(filepath.Dir(path), "store"), store.Options{Create: true})
	if err != nil {
		return err
	}
	defer st.Close()
	s := setup{Fixture: f, format: codec.FormatCMS}
	job := s.job(st, NewConstantSigner(sign.ES256, f.Key.Public()), nil)
	job.Devices = func() (*list.Reader, error) { return list.Open(path, list.Options{}) }
	if _, err := issue.Run(context.Background(), job); err != nil {
		return err
	}
	peak, err := residentPeak()
	if err == nil {
		_, err = fmt.Println(peak)
	}
	return err
}

// residentPeak returns the most memory this process had resident, in octets, as
// Linux counts it from the start of the program.
func residentPeak() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}
