package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// An inProcess carries requests to a handler in this process, both bodies as
// they come.
type inProcess struct {
	handler http.Handler
	running sync.WaitGroup // handlers at work
}

// RoundTrip implements http.RoundTripper.
func (t *inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	in, sent := io.Pipe()
	out, written := io.Pipe()
	// Whoever waits for the other side is let go when the request is over.
	context.AfterFunc(ctx, func() {
		in.CloseWithError(context.Cause(ctx))
		written.CloseWithError(context.Cause(ctx))
	})
	go send(req.Body, sent)
	served := req.Clone(ctx)
	served.Body, served.RequestURI, served.RemoteAddr = in, req.URL.RequestURI(), "in-process"
	w := &responder{header: http.Header{}, body: written, begun: make(chan struct{})}
	t.running.Go(func() {
		defer w.end()
		defer in.Close()
		t.handler.ServeHTTP(w, served)
	})
	select {
	case <-w.begun:
	case <-ctx.Done():
		cancel()
		return nil, context.Cause(ctx)
	}
	return &http.Response{Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.sent, Body: &received{out, cancel}, ContentLength: -1, Request: req}, nil
}

// send copies a body to the handler.
func send(body io.ReadCloser, to *io.PipeWriter) {
	if body == nil {
		to.Close()
		return
	}
	_, err := io.Copy(to, body)
	to.CloseWithError(err) // nil is the end of the body
	body.Close()
}

// received is the answer's body; closing it ends the request.
type received struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close ends the request.
func (r *received) Close() error {
	r.cancel()
	return r.PipeReader.Close()
}

// A responder is the handler's side of an answer.
type responder struct {
	header http.Header // the handler's
	sent   http.Header // as it was when the answer began
	status int
	body   *io.PipeWriter
	begun  chan struct{} // closed with the status known
	once   sync.Once
}

// Header implements http.ResponseWriter.
func (w *responder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *responder) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	})
}

// Write implements http.ResponseWriter.
func (w *responder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// FlushError implements what http.ResponseController looks for. Nothing is held
// back here.
func (w *responder) FlushError() error {
	w.WriteHeader(http.StatusOK)
	return nil
}

// EnableFullDuplex implements what http.ResponseController looks for: nothing
// here was ever half duplex.
func (w *responder) EnableFullDuplex() error { return nil }

// end is the end of the handler, by a panic too: that is a fault of the API, and
// the command lives to say so.
func (w *responder) end() {
	cause := recover()
	if cause == nil {
		w.WriteHeader(http.StatusOK)
		w.body.Close()
		return
	}
	w.WriteHeader(http.StatusInternalServerError)
	w.body.CloseWithError(fmt.Errorf("panic: %v", cause))
}
