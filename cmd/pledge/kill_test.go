package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// runEnv makes the test binary the program.
const runEnv = "VOUCHMILL_PLEDGE_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(runEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A device that loses power at any step, here the program by kill -9 while the
// registrar has its request in hand, joins cleanly afterwards.
func TestKilledAtEveryStep(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	steps := []string{"requestvoucher", "voucher_status", "cacerts", "csrattrs", "simpleenroll", "enrollstatus"}
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			s := newSite(t)
			join := s.device("state")
			device := exec.Command(program, join...)
			device.Env = append(os.Environ(), runEnv+"=1")
			asked, ended := make(chan struct{}, 1), make(chan error, 1)
			s.answer(step, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				asked <- struct{}{}
				<-r.Context().Done() // its connection ends with it
			})
			if err := device.Start(); err != nil {
				t.Fatal(err)
			}
			go func() { ended <- device.Wait() }()
			select {
			case <-asked:
				_ = device.Process.Kill()
				err = <-ended
			case err = <-ended:
			}
			if err == nil || device.ProcessState.Exited() {
				t.Fatalf("it was not killed: %v", device.ProcessState)
			}
			s.answer(step, nil)
			out, _ := wants(t, 0, join...)
			if before := strings.Contains(out, "before; nothing was done"); before != (step == "enrollstatus") {
				t.Errorf("%q", out)
			}
			holds(t, s.path("state"), "voucher.vcj")
		})
	}
}
