package devicelist

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/progress"
)

// progressEvery is how often progress is told.
const progressEvery = 500 * time.Millisecond

// An Import is one list that an API was sent.
type Import struct {
	// Devices reads it.
	Devices *list.Reader
	// Reject is to be told each row that cannot be used; its error is to end the
	// import.
	Reject func(*list.RowError) error
	// Progress may be kept up to date: Issued counts rows.
	Progress *progress.Reporter
	// Query is the request's, for what else a role takes.
	Query url.Values
}

// Handler makes the API's side of a function that imports a list; its result is
// answered as JSON. defaults are the list options that hold where the request
// states nothing.
func Handler(defaults list.Options, f func(r *http.Request, im *Import) (any, error)) http.Handler {
	return admin.Streaming(func(r *http.Request, s *admin.Stream) (any, error) {
		q := r.URL.Query()
		opts, err := options(defaults, q)
		if err != nil {
			return nil, admin.Errorf(http.StatusBadRequest, "%v", err)
		}
		body := &countingReader{r: r.Body}
		devices, err := list.NewReader(body, opts)
		if err != nil {
			return nil, listError(err)
		}
		defer devices.Close()
		counters, err := progress.Start(progress.Options{Mode: progress.None})
		if err != nil {
			return nil, err
		}
		stop := tell(s, counters, body)
		result, err := f(r, &Import{Devices: devices, Progress: counters, Query: q, Reject: func(e *list.RowError) error {
			if q.Get("on-error") != "skip" {
				return e
			}
			return s.Send(eventReject, toJSON(e))
		}})
		if tellErr := stop(); err == nil {
			err = tellErr
		}
		return result, listError(err)
	})
}

// tell sends progress until the function it returns is called, which sends the
// last of it.
func tell(s *admin.Stream, counters *progress.Reporter, body *countingReader) (stop func() error) {
	quit := make(chan struct{})
	send := func() error {
		return s.Send(eventProgress, progressJSON{counters.Issued.Load(), counters.Rejected.Load(), body.n.Load()})
	}
	var told sync.WaitGroup
	told.Go(func() {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
				if send() != nil {
					return // nobody listens; the import notices by itself
				}
			}
		}
	})
	return func() error { close(quit); told.Wait(); return send() }
}

// listError gives what is wrong with a list a status of its own.
func listError(err error) error {
	var row *list.RowError
	var whole *list.ListError
	switch {
	case errors.As(err, &row):
		return admin.Errorf(http.StatusUnprocessableEntity, "%v", row)
	case errors.As(err, &whole):
		return admin.Errorf(http.StatusUnprocessableEntity, "%v", whole)
	}
	return err
}

// options reads a list's options from a query.
func options(o list.Options, q url.Values) (list.Options, error) {
	if text := q.Get("list-format"); text != "" {
		format, err := list.ParseFormat(text)
		if err != nil {
			return o, err
		}
		o.Format = format
	}
	if text := q.Get("serial-from"); text != "" {
		from, err := codec.ParseSerialSource(text)
		if err != nil {
			return o, err
		}
		o.SerialFrom = from
	}
	switch text := q.Get("delimiter"); text {
	case "":
	case "comma":
		o.Delimiter = ','
	case "semicolon":
		o.Delimiter = ';'
	case "tab":
		o.Delimiter = '\t'
	default:
		return o, errors.New("delimiter is comma, semicolon or tab")
	}
	o.Name = q.Get("name")
	if o.Name == "" || len(o.Name) > 4096 {
		o.Name = "the list"
	}
	return o, nil
}

// A countingReader counts what was read.
type countingReader struct {
	r io.Reader
	n atomic.Uint64
}

// Read reads and counts.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(uint64(n))
	return n, err
}
