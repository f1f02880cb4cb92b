package devicelist_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/devicelist"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/list"
)

// read is a role that reads a list and counts.
func read(_ *http.Request, im *devicelist.Import) (any, error) {
	seen := []string{}
	var rec list.Record
	for {
		err := im.Devices.Read(&rec)
		var bad *list.RowError
		switch {
		case err == io.EOF:
			return map[string]any{"serials": seen, "pool": im.Query.Get("pool")}, nil
		case errors.As(err, &bad):
			if err := im.Reject(bad); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		default:
			im.Progress.Issued.Add(1)
			seen = append(seen, string(rec.Serial))
		}
	}
}

type imported struct {
	Serials []string
	Pool    string
}

// upload runs a command that imports a list into the role above, in-process.
func upload(t testing.TB, stdin string, source string, args ...string) (got imported, rejected uint64, err error) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("POST /devices/import", devicelist.Handler(list.Options{}, read))
	c, done, err := admin.Client(context.Background(), filepath.Join(t.TempDir(), "s"), func() (http.Handler, io.Closer, error) {
		return mux, io.NopCloser(nil), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	var f devicelist.Flags
	cmd := &cobra.Command{Use: "import", RunE: func(cmd *cobra.Command, _ []string) error {
		rejected, err = f.Upload(cmd, c, "/devices/import", url.Values{"pool": {"p"}}, source, &got)
		return err
	}}
	f.Register(cmd)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append(args, "--progress", "none"))
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetErr(new(bytes.Buffer))
	err = cmd.ExecuteContext(context.Background())
	return got, rejected, err
}

func code(err error) int {
	var e *program.Error
	if err == nil {
		return program.Done
	}
	if errors.As(err, &e) {
		return e.Code
	}
	return -1
}

const threeRows = "serial-number\nSN-1\n\" bad\"\nSN-2\n"

func TestAListIsSentAsItIs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "d.csv")
	if err := os.WriteFile(file, []byte("serial-number;note\nSN-1;\nSN-2;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := upload(t, "", file); err == nil {
		t.Error("an unknown column was taken")
	}
	if err := os.WriteFile(file, []byte("serial-number\nSN-1\nSN-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, rejected, err := upload(t, "", file)
	if err != nil || rejected != 0 || strings.Join(got.Serials, " ") != "SN-1 SN-2" || got.Pool != "p" {
		t.Errorf("%+v, %d, %v", got, rejected, err)
	}
	if got, _, err = upload(t, `{"serial-number":"SN-3"}`+"\n", "-"); err != nil || strings.Join(got.Serials, " ") != "SN-3" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestABadRowEndsTheImportUnlessSkipped(t *testing.T) {
	rejects := filepath.Join(t.TempDir(), "rejects.csv")
	_, _, err := upload(t, threeRows, "-", "--rejects", rejects)
	if code(err) != program.Failed || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("%d: %v", code(err), err)
	}
	if _, err := os.Stat(rejects); err == nil {
		t.Error("an import that ended early left its rejects")
	}
	got, rejected, err := upload(t, threeRows, "-", "--on-error", "skip", "--rejects", rejects)
	if err != nil || rejected != 1 || strings.Join(got.Serials, " ") != "SN-1 SN-2" {
		t.Errorf("%+v, %d, %v", got, rejected, err)
	}
	text, err := os.ReadFile(rejects)
	if err != nil || strings.Count(string(text), "\n") != 2 || !strings.Contains(string(text), ",3,") || !strings.Contains(string(text), "bad") {
		t.Errorf("%v:\n%s", err, text)
	}
}

func TestWrongUseIsToldFromBadListsAndFiles(t *testing.T) {
	for _, tc := range []struct {
		stdin, source string
		args          []string
		code          int
	}{
		{threeRows, "-", []string{"--on-error", "ignore"}, program.Usage}, {threeRows, "-", []string{"--progress", "loud"}, program.Usage},
		{threeRows, "-", []string{"--list-format", "xml"}, program.Usage}, {threeRows, "-", []string{"--delimiter", "dash"}, program.Usage},
		{threeRows, "-", []string{"--serial-from", "thumb"}, program.Usage}, {"", "/nowhere/at/all", nil, program.IO}, {"", "-", nil, program.Failed},
		{"a,b\n1,2\n", "-", nil, program.Failed}, {threeRows, "-", []string{"--rejects", "/nowhere/at/all"}, program.IO},
	} {
		if tc.args != nil && tc.args[0] == "--progress" {
			var f devicelist.Flags
			cmd := &cobra.Command{}
			f.Register(cmd)
			if err := cmd.ParseFlags(tc.args); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Upload(cmd, nil, "", nil, "-", nil); code(err) != tc.code {
				t.Errorf("%v: %v", tc.args, err)
			}
			continue
		}
		if _, _, err := upload(t, tc.stdin, tc.source, tc.args...); code(err) != tc.code {
			t.Errorf("%q %s %v: exit code %d, want %d: %v", tc.stdin, tc.source, tc.args, code(err), tc.code, err)
		}
	}
}

func TestADirectoryIsSentWithItsFilesNamed(t *testing.T) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ca.NewRoot(ca.RootParams{CommonName: "CA", Key: caKey, NotBefore: time.Now(), NotAfter: ca.NoExpiry()}, ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"a.pem", "b.der", "d.crt"} {
		c, err := a.IDevID(ca.IDevIDParams{SerialNumber: fmt.Sprint("SN-", i), PublicKey: key.Public(), NotBefore: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		content := c.Raw
		if name != "b.der" {
			content = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}), ca.ChainPEM(c)...)
		}
		write(name, content)
	}
	write("c.der", []byte{0x30, 0x03, 1, 2, 3})
	write("e.pem", []byte("no certificate"))
	write("notes.txt", []byte("not looked at"))
	rejects := filepath.Join(t.TempDir(), "rejects.csv")
	got, rejected, err := upload(t, "", dir, "--on-error", "skip", "--rejects", rejects)
	if err != nil || strings.Join(got.Serials, " ") != "SN-0 SN-1 SN-2" || rejected != 2 {
		t.Errorf("%+v, %d, %v", got, rejected, err)
	}
	text, err := os.ReadFile(rejects)
	if err != nil || !strings.Contains(string(text), "c.der,1,") || !strings.Contains(string(text), "e.pem,") {
		t.Errorf("%v:\n%s", err, text)
	}
	if _, _, err := upload(t, "", dir); code(err) != program.Failed {
		t.Errorf("%d: %v", code(err), err)
	}
	if _, _, err := upload(t, "", t.TempDir()); code(err) != program.Failed {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestErrorsOfTheAPIHaveTheirExitCodes(t *testing.T) {
	for status, want := range map[int]int{400: program.Usage, 404: program.Failed, 409: program.Failed, 422: program.Failed, 500: program.IO, 507: program.IO} {
		if got := code(devicelist.ExitCode(fmt.Errorf("x: %w", admin.Errorf(status, "no")))); got != want {
			t.Errorf("%d: exit code %d, want %d", status, got, want)
		}
	}
	if code(devicelist.ExitCode(errors.New("broken pipe"))) != program.IO || devicelist.ExitCode(nil) != nil || code(devicelist.ExitCode(context.Canceled)) != program.Interrupted {
		t.Error("errors on the way have another exit code")
	}
}
