package devicelist

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/progress"
)

// Flags are the flags of a command that imports a list.
type Flags struct {
	onError, rejects, format, delimiter, serialFrom, progress string
}

// Register adds the flags to a command.
func (f *Flags) Register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.onError, "on-error", "stop", "what a bad row does: stop or skip")
	flags.StringVar(&f.rejects, "rejects", "", "file that gets the rows skipped, with the reasons")
	flags.StringVar(&f.format, "list-format", "auto", "form of the list: auto, csv, ndjson, cborseq, pem or der")
	flags.StringVar(&f.delimiter, "delimiter", "", "what separates the fields of a CSV list: comma, semicolon or tab (default: told from the header row)")
	flags.StringVar(&f.serialFrom, "serial-from", "", "where a certificate's serial number is taken from: subject, hw-module-name or cn (default: as configured)")
	flags.StringVar(&f.progress, "progress", "auto", "how progress is shown on standard error: auto, bar, plain, json or none")
}

// Each calls one with each of several lists in turn, until one fails. Rows that
// were left out of any are an error at the end, with exit code 1.
func (f *Flags) Each(sources []string, one func(source string) (rejected uint64, err error)) error {
	if len(sources) > 1 && f.rejects != "" {
		return program.Usagef("--rejects %s: it holds the rows of one list; import the %d lists one by one, or leave it out", f.rejects, len(sources))
	}
	var left uint64
	for _, source := range sources {
		rejected, err := one(source)
		if err != nil && len(sources) > 1 {
			err = fmt.Errorf("%s: %w", source, err)
		}
		if err != nil {
			return err
		}
		left += rejected
	}
	if left > 0 {
		return program.Failedf("rows left out: %d", left)
	}
	return nil
}

// Upload sends the list source, a file, a directory of certificates or - for
// standard input, to path of the API, with what else query says. The result is
// read into out. It shows progress and writes the rejects, and returns how many
// there were. The error has its exit code.
func (f *Flags) Upload(cmd *cobra.Command, c *http.Client, path string, query url.Values, source string, out any) (rejected uint64, err error) {
	if f.onError != "stop" && f.onError != "skip" {
		return 0, program.Usagef("--on-error %s: want stop or skip", f.onError)
	}
	mode, err := progress.ParseMode(f.progress)
	if err != nil {
		return 0, program.Usagef("--progress: %w", err)
	}
	u := &upload{names: &bundle{skip: f.onError == "skip"}}
	if f.rejects != "" {
		if u.rejects, err = list.CreateRejects(f.rejects); err != nil {
			return 0, program.IOError(err)
		}
		defer u.rejects.Abort()
	}
	body, err := u.open(cmd, source)
	if err != nil {
		return 0, program.IOError(err)
	}
	defer body.Close()
	if u.shown, err = progress.Start(progress.Options{Job: "import", Unit: "devices", Verb: "read", Mode: mode, Out: cmd.ErrOrStderr(), Terminal: program.OnTerminal(cmd)}); err != nil {
		return 0, program.Usagef("--progress: %w", err)
	}
	err = admin.Upload(cmd.Context(), c, path+"?"+f.query(query, source).Encode(), body, out, u.event)
	for _, bad := range u.names.left() {
		err = errors.Join(err, u.reject(bad))
	}
	err = errors.Join(ExitCode(err), program.IOError(u.shown.Stop()))
	if err == nil && u.rejects != nil {
		err = program.IOError(u.rejects.Commit())
	}
	return u.count, err
}

func (f *Flags) query(more url.Values, source string) url.Values {
	q := url.Values{"on-error": {f.onError}, "name": {source}}
	for name, values := range more {
		q[name] = values
	}
	for name, value := range map[string]string{"list-format": f.format, "delimiter": f.delimiter, "serial-from": f.serialFrom} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// ExitCode gives an error of the API the exit code that it means.
func ExitCode(err error) error {
	var e *admin.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e) || e.Status >= 500:
		return program.IOError(err)
	case e.Status == http.StatusBadRequest:
		return &program.Error{Code: program.Usage, Err: err}
	}
	return &program.Error{Code: program.Failed, Err: err}
}

// An upload is one list on its way. It is for one goroutine.
type upload struct {
	names   *bundle
	rejects *list.Rejects // nil for none
	shown   *progress.Reporter
	count   uint64
}

// event takes one line that came back.
func (u *upload) event(event string, data json.RawMessage) error {
	switch event {
	case eventReject:
		var j rejectJSON
		if err := json.Unmarshal(data, &j); err != nil {
			return err
		}
		return u.reject(u.names.place(j.rowError()))
	case eventProgress:
		var j progressJSON
		if err := json.Unmarshal(data, &j); err != nil {
			return err
		}
		u.shown.Issued.Store(j.Done)
		u.shown.Durable.Store(j.Done)
	}
	return nil
}

func (u *upload) reject(e *list.RowError) error {
	u.count++
	u.shown.Rejected.Store(u.count)
	if u.rejects == nil {
		return nil
	}
	return u.rejects.Add(e)
}

// open opens what is sent.
func (u *upload) open(cmd *cobra.Command, source string) (io.ReadCloser, error) {
	if source == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	f, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || !info.IsDir() {
		return f, err
	}
	return u.names.open(filepath.Clean(source), f)
}
