package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/vouchmill/vouchmill/engine/state"
)

const (
	// base stands before every path; there is no network behind it.
	base = "http://admin"
	// maxLine bounds a line of a stream, and a whole answer, in octets.
	maxLine = 16 << 20
)

// patience is how long a store that another process has open is waited for: a
// server that starts has no socket yet, another command is done soon.
var patience = 3 * time.Second

// retryEvery is how often it is tried in that time.
const retryEvery = 50 * time.Millisecond

// Client returns an HTTP client for a role's API, and what ends its use. If a
// server listens on the socket, it is that server's. Otherwise open opens the
// role's store, and the handler it returns is called in this process; the closer
// closes the store. A store that is locked by a process without a socket is an
// error that names it.
//
// The URL's host says nothing; [Get] and the other functions fill it in.
func Client(ctx context.Context, socket string, open func() (http.Handler, io.Closer, error)) (*http.Client, func() error, error) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		c, err := dialed(ctx, socket)
		if err != nil {
			return nil, nil, err
		}
		if c != nil {
			return c, func() error { c.CloseIdleConnections(); return nil }, nil
		}
		h, store, err := open()
		var locked *state.LockedError
		switch {
		case err == nil:
			t := &inProcess{handler: h}
			return &http.Client{Transport: t}, func() error { t.running.Wait(); return store.Close() }, nil
		case !errors.As(err, &locked):
			return nil, nil, err
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-deadline.C:
			return nil, nil, fmt.Errorf("%w; nobody listens on %s: it may be another command at work, or a server that is configured with another admin-socket", err, socket)
		}
	}
}

// dialed returns a client of the server that listens on a socket, nil where
// nobody does.
func dialed(ctx context.Context, socket string) (*http.Client, error) {
	var d net.Dialer
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) }
	conn, err := dial(ctx, "", "")
	switch {
	case err == nil:
		return &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}, conn.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EINVAL) && len(socket) > maxSocketPath:
		return nil, nil
	}
	return nil, fmt.Errorf("admin socket %s: %w", socket, err)
}

// Get asks for a path and reads the answer into out, which may be nil. The error
// is an [*Error] where the API refused.
func Get(ctx context.Context, c *http.Client, path string, out any) error {
	return call(ctx, c, http.MethodGet, path, nil, out)
}

// Post sends in as JSON, nil for nothing, and reads the answer into out, which
// may be nil. The error is an [*Error] where the API refused.
func Post(ctx context.Context, c *http.Client, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	return call(ctx, c, http.MethodPost, path, body, out)
}

func call(ctx context.Context, c *http.Client, method, path string, body io.Reader, out any) error {
	resp, err := do(ctx, c, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxLine)).Decode(out); err != nil {
		return fmt.Errorf("admin: the answer to %s cannot be read: %w", path, err)
	}
	return nil
}

// do makes one request and turns an answer that is no success into an error.
func do(ctx context.Context, c *http.Client, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, base+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("admin: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	e := &Error{Status: resp.StatusCode}
	// One value and no more: a server that still reads the body has not ended
	// its answer.
	if json.NewDecoder(io.LimitReader(resp.Body, maxJSON)).Decode(e) != nil || e.Message == "" {
		e.Message = fmt.Sprintf("%s %s: %s", method, path, resp.Status)
	}
	return nil, e
}

// Pages calls f with every item of a listing, page by page. path may have a
// query, of which limit is the size of a page.
func Pages[T any](ctx context.Context, c *http.Client, path string, f func(T) error) error {
	u, err := url.Parse(path)
	if err != nil {
		return err
	}
	for {
		var l Listing[T]
		if err := Get(ctx, c, u.String(), &l); err != nil {
			return err
		}
		for _, item := range l.Items {
			if err := f(item); err != nil {
				return err
			}
		}
		if l.Next == "" {
			return nil
		}
		q := u.Query()
		q.Set("after", l.Next)
		u.RawQuery = q.Encode()
	}
}

// Upload streams a body and calls on, where not nil, with each line that comes
// back before the last. The result is read into out, which may be nil. The error
// is an [*Error] where the API refused, or on's.
func Upload(ctx context.Context, c *http.Client, path string, body io.Reader, out any, on func(event string, data json.RawMessage) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the body's way to a server that has said its last word
	resp, err := do(ctx, c, http.MethodPost, path, io.NopCloser(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line map[string]json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("admin: a line of the answer to %s cannot be read: %w", path, err)
		}
		for event, data := range line {
			switch {
			case event == eventError:
				e := streamedError{Error: &Error{}}
				if err := json.Unmarshal(data, &e); err != nil {
					return fmt.Errorf("admin: %s failed: %s", path, data)
				}
				e.Status = e.Code
				return e.Error
			case event == eventResult && out == nil:
				return nil
			case event == eventResult:
				return json.Unmarshal(data, out)
			case on != nil:
				if err := on(event, data); err != nil {
					return err
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	return fmt.Errorf("admin: the answer to %s broke off: the server was stopped; do the same again", path)
}
