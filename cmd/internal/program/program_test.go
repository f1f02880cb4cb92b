package program_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
)

func root(err error) *cobra.Command {
	cmd := &cobra.Command{Use: "tool", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return err }}
	return cmd
}

func Example() {
	cmd := root(program.Usagef("--dir is missing"))
	fmt.Println(program.Main(cmd, nil, nil, os.Stdout, os.Stdout))
	// Output:
	// tool: --dir is missing
	// 2
}

func TestErrorsHaveTheirExitCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		args []string
		want int
		says string
	}{
		"done":         {nil, nil, program.Done, ""},
		"usage":        {program.Usagef("wrong"), nil, program.Usage, "tool: wrong\n"},
		"failed":       {program.Failedf("one of two"), nil, program.Failed, "one of two"},
		"silent":       {&program.Error{Code: program.Failed}, nil, program.Failed, ""},
		"wrapped":      {fmt.Errorf("--x: %w", program.Failedf("no")), nil, program.Failed, "tool: --x: no"},
		"I/O":          {program.IOError(os.ErrNotExist), nil, program.IO, "not exist"},
		"interrupted":  {program.IOError(fmt.Errorf("x: %w", context.Canceled)), nil, program.Interrupted, "x: "},
		"has a code":   {program.IOError(program.Usagef("wrong")), nil, program.Usage, "wrong"},
		"unknown flag": {nil, []string{"--none"}, program.Usage, "--none"},
		"argument":     {nil, []string{"none"}, program.Usage, "none"},
	} {
		var errs bytes.Buffer
		if got := program.Main(root(tc.err), tc.args, nil, new(bytes.Buffer), &errs); got != tc.want || !strings.Contains(errs.String(), tc.says) || tc.says == "" && errs.Len() > 0 {
			t.Errorf("%s: exit code %d and %q, want %d and %q", name, got, errs.String(), tc.want, tc.says)
		}
	}
	if program.IOError(nil) != nil {
		t.Error("no error became one")
	}
}

func TestFilesAreReadUpToTheirLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := program.ReadFile(path, 100); err != nil || len(b) != 100 {
		t.Errorf("%d octets, %v", len(b), err)
	}
	var e *program.Error
	if _, err := program.ReadFile(path, 99); !errors.As(err, &e) || e.Code != program.Usage {
		t.Errorf("too large: %v", err)
	}
	if _, err := program.ReadFile(path+"x", 99); !errors.As(err, &e) || e.Code != program.IO || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestVersionAndManualPages(t *testing.T) {
	cmd, out, dir := root(nil), new(bytes.Buffer), t.TempDir()
	cmd.AddCommand(program.NewVersion(), program.NewMan())
	if code := program.Main(cmd, []string{"version"}, nil, out, out); code != program.Done || !strings.HasPrefix(out.String(), "tool ") || !strings.Contains(out.String(), "ES256 is signed by") {
		t.Errorf("%d: %s", code, out)
	}
	if code := program.Main(cmd, []string{"man", "--out", dir}, nil, out, out); code != program.Done {
		t.Errorf("%d: %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "tool-version.1")); err != nil {
		t.Error(err)
	}
}
