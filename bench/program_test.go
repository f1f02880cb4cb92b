package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A builder builds the module's programs, each once.
type builder struct {
	mu    sync.Mutex
	dir   string
	built map[string]bool
}

var programs builder

// programsEnv names a directory with programs that are built already.
const programsEnv = "VOUCHMILL_BENCH_PROGRAMS"

// path builds a program of folder cmd and returns where it is.
func (p *builder) path(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv(programsEnv); dir != "" {
		return filepath.Join(dir, name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dir == "" {
		p.dir = must(os.MkdirTemp("", "bench"))(t)
		p.built = make(map[string]bool)
	}
	path := filepath.Join(p.dir, name)
	if !p.built[name] {
		command(t, nil, "go", "build", "-o", path, "github.com/vouchmill/vouchmill/cmd/"+name)
		p.built[name] = true
	}
	return path
}

func (p *builder) remove() {
	if p.dir != "" {
		os.RemoveAll(p.dir)
	}
}

// command runs a command to its end.
func command(t testing.TB, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
}

// A server is a program that serves until the test ends.
type server struct {
	url string
	pid int
}

// serve starts a program and waits until it says that it is ready.
func serve(t testing.TB, env []string, name string, args ...string) *server {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, cmd) })
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ready := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ready {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%s is not ready: %q, %v\n%s", name, line, err, log.Bytes())
	}
	return &server{url, cmd.Process.Pid}
}

// end ends a server, by force when it does not go.
func end(t testing.TB, cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	force := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer force.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Error(fmt.Errorf("%s: %w", cmd.Path, err))
	}
}
