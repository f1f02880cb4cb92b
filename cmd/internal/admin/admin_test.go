package admin

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/state"
)

// api is a small role: numbered things, and an import that counts lines.
func api() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /things", Handle(func(r *http.Request) (any, error) {
		p, err := PageOf(r)
		if err != nil {
			return nil, err
		}
		from := 0
		if p.After != "" {
			if from, err = strconv.Atoi(p.After); err != nil {
				return nil, err
			}
		}
		var items []int
		for n := from + 1; n <= 250 && len(items) <= p.Limit; n++ {
			items = append(items, n)
		}
		return NewListing(items, p, strconv.Itoa), nil
	}))
	mux.Handle("POST /echo", Handle(func(r *http.Request) (any, error) {
		var in struct{ Text string }
		if err := Decode(r, &in); err != nil {
			return nil, err
		}
		return in, nil
	}))
	mux.Handle("GET /missing/{name}", Handle(func(r *http.Request) (any, error) {
		return nil, Errorf(http.StatusNotFound, "no thing %q", r.PathValue("name")).With("name another")
	}))
	mux.Handle("GET /fault", Handle(func(*http.Request) (any, error) { return nil, errors.New("broken") }))
	mux.Handle("POST /import", Streaming(func(r *http.Request, s *Stream) (any, error) {
		n, lines := 0, bufio.NewScanner(r.Body)
		for lines.Scan() {
			n++
			switch lines.Text() {
			case "bad":
				return nil, Errorf(http.StatusBadRequest, "line %d is bad", n).With("mend it")
			case "panic":
				panic("on the streets")
			}
			if strings.HasPrefix(lines.Text(), "tell") {
				if err := s.Send("progress", n); err != nil {
					return nil, err
				}
			}
		}
		return map[string]int{"lines": n}, lines.Err()
	}))
	return mux
}

type closer struct{ closed *bool }

func (c closer) Close() error { *c.closed = true; return nil }

// shortDir is a directory whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serve serves the API on a socket until the test or the returned function ends
// it.
func serve(t *testing.T, socket string) (stop func() error) {
	t.Helper()
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, api(), l) }()
	var done bool
	stop = func() error {
		if done {
			return nil
		}
		done = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() { stop() })
	return stop
}

// both runs a test against a server and in-process.
func both(t *testing.T, test func(t *testing.T, c *http.Client)) {
	t.Run("server", func(t *testing.T) {
		socket := filepath.Join(shortDir(t), "admin.sock")
		serve(t, socket)
		c, done, err := Client(t.Context(), socket, func() (http.Handler, io.Closer, error) {
			return nil, nil, errors.New("the store was opened beside a server")
		})
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		test(t, c)
	})
	t.Run("in-process", func(t *testing.T) {
		closed := false
		c, done, err := Client(t.Context(), filepath.Join(shortDir(t), "admin.sock"), func() (http.Handler, io.Closer, error) {
			return api(), closer{&closed}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		test(t, c)
		if err := done(); err != nil || !closed {
			t.Errorf("the store was not closed: %v", err)
		}
	})
}

func TestListingsComeInPages(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client) {
		for _, query := range []string{"", "?limit=7", "?limit=250", "?limit=1000"} {
			n := 0
			if err := Pages(t.Context(), c, "/things"+query, func(i int) error {
				if n++; i != n {
					t.Fatalf("%d where %d belongs", i, n)
				}
				return nil
			}); err != nil || n != 250 {
				t.Errorf("%q: %d items, %v", query, n, err)
			}
		}
		stop := errors.New("enough")
		if err := Pages(t.Context(), c, "/things", func(int) error { return stop }); err != stop {
			t.Errorf("%v", err)
		}
		for _, bad := range []string{"0", "1001", "x"} {
			if err := Get(t.Context(), c, "/things?limit="+bad, nil); err == nil || !strings.Contains(err.Error(), "1 to 1000") {
				t.Errorf("limit=%s: %v", bad, err)
			}
		}
	})
}

func TestErrorsArriveAsTheyWere(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client) {
		err := Get(t.Context(), c, "/missing/x", nil)
		var e *Error
		if !errors.As(err, &e) || *e != (Error{404, `no thing "x"`, "name another"}) || !IsNotFound(err) || err.Error() != `no thing "x"; name another` {
			t.Errorf("%#v", err)
		}
		if err := Get(t.Context(), c, "/fault", nil); !errors.As(err, &e) || e.Status != 500 || e.Message != "broken" {
			t.Errorf("%#v", err)
		}
		if err := Get(t.Context(), c, "/nowhere", nil); !errors.As(err, &e) || e.Status != 404 || !strings.Contains(e.Message, "/nowhere") {
			t.Errorf("%#v", err)
		}
		var out struct{ Text string }
		if err := Post(t.Context(), c, "/echo", map[string]string{"text": "hello"}, &out); err != nil || out.Text != "hello" {
			t.Errorf("%q, %v", out.Text, err)
		}
		if err := Post(t.Context(), c, "/echo", map[string]string{"txet": "hello"}, &out); !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("an unknown member: %v", err)
		}
		for _, body := range []string{`{"Text":"a"} {}`, `{"Text":"a"}]`} {
			if _, err := do(t.Context(), c, http.MethodPost, "/echo", strings.NewReader(body)); !errors.As(err, &e) || e.Status != 400 {
				t.Errorf("%s: %v", body, err)
			}
		}
	})
}

// TestUploadsAndProgressStreamBothWays: the line that is told about is sent only
// when the one before was heard of.
func TestUploadsAndProgressStreamBothWays(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client) {
		in, out := io.Pipe()
		heard := make(chan int, 1)
		heard <- 0
		go func() {
			for i := range 5 {
				if <-heard != i {
					break
				}
				fmt.Fprintln(out, "tell")
			}
			out.Close()
		}()
		var result struct{ Lines int }
		err := Upload(t.Context(), c, "/import", in, &result, func(event string, data json.RawMessage) error {
			n, err := strconv.Atoi(string(data))
			if event == "progress" && n < 5 {
				heard <- n
			}
			return err
		})
		if err != nil || result.Lines != 5 {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

type endless struct{ line string }

func (e endless) Read(p []byte) (int, error) { return copy(p, e.line), nil }

func TestAnUploadThatIsRefusedStops(t *testing.T) {
	both(t, func(t *testing.T, c *http.Client) {
		for name, head := range map[string]string{"before the first line": "bad\n", "after it": "tell\nbad\n"} {
			err := Upload(t.Context(), c, "/import", io.MultiReader(strings.NewReader(head), endless{"more\n"}), nil, nil)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Message, "is bad") || e.Remedy != "mend it" || e.Status != 400 {
				t.Errorf("%s: %v", name, err)
			}
		}
		mine := errors.New("disk full")
		if err := Upload(t.Context(), c, "/import", io.MultiReader(strings.NewReader("tell\n"), endless{"more\n"}), nil, func(string, json.RawMessage) error { return mine }); err != mine {
			t.Errorf("%v", err)
		}
		read := errors.New("the list cannot be read")
		if err := Upload(t.Context(), c, "/import", io.MultiReader(strings.NewReader("one\n"), failing{read}), nil, nil); err == nil {
			t.Error("a body that breaks off was imported")
		}
		if err := Upload(t.Context(), c, "/import", strings.NewReader("tell\npanic\n"), nil, nil); err == nil {
			t.Error("a panic is no error")
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := Upload(ctx, c, "/import", io.MultiReader(strings.NewReader("tell\n"), endless{"more\n"}), nil, func(string, json.RawMessage) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if err := Get(t.Context(), c, "/things", nil); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnUploadEndsWithTheServer(t *testing.T) {
	socket := filepath.Join(shortDir(t), "admin.sock")
	stop := serve(t, socket)
	c, done, err := Client(t.Context(), socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	in, out := io.Pipe()
	go fmt.Fprintln(out, "tell")
	stopped := make(chan error, 1)
	err = Upload(t.Context(), c, "/import", in, nil, func(string, json.RawMessage) error {
		go func() { stopped <- stop() }()
		out.Close() // or the handler would wait for more, up to the drain
		return nil
	})
	if e := <-stopped; e != nil {
		t.Errorf("Serve: %v", e)
	}
	if err != nil && !strings.Contains(err.Error(), "broke off") {
		t.Errorf("%v", err)
	}
}

func TestTheSocketIsPrivateAndReplacedOnlyWhenNobodyListens(t *testing.T) {
	dir := shortDir(t)
	socket := filepath.Join(dir, "admin.sock")
	stop := serve(t, socket)
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if l, err := Listen(socket); err == nil {
		l.Close()
		t.Error("a second server took the socket")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// One left behind by a process that was killed.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	opened := false
	_, done, err := Client(t.Context(), socket, func() (http.Handler, io.Closer, error) { return api(), closer{&opened}, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := done(); err != nil || !opened {
		t.Errorf("a stale socket kept a command from the store: %v", err)
	}
	serve(t, socket)
	// What is no socket is not removed.
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen(file); err == nil {
		l.Close()
		t.Error("a file was replaced by a socket")
	}
	if l, err := Listen(filepath.Join(dir, strings.Repeat("d", 110))); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("%v, %v", l, err)
	}
}

func TestAListenerLeavesTheSocketOfAnother(t *testing.T) {
	socket := filepath.Join(shortDir(t), "admin.sock")
	first, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("the socket of the second is gone: %v", err)
	}
}

func TestALockedStoreWithoutASocketIsNamed(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 2 * retryEvery
	socket := filepath.Join(shortDir(t), "admin.sock")
	_, _, err := Client(t.Context(), socket, func() (http.Handler, io.Closer, error) {
		return nil, nil, fmt.Errorf("masa: %w", &state.LockedError{Dir: "/srv/masa/state", PID: 4711})
	})
	if err == nil || !strings.Contains(err.Error(), "process 4711") || !strings.Contains(err.Error(), socket) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Client(ctx, socket, func() (http.Handler, io.Closer, error) { return nil, nil, &state.LockedError{} }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	broken := errors.New("no such store")
	if _, _, err := Client(t.Context(), socket, func() (http.Handler, io.Closer, error) { return nil, nil, broken }); err != broken {
		t.Errorf("%v", err)
	}
}

// TestAServerThatStartsIsWaitedFor: it has the store before it has a socket.
func TestAServerThatStartsIsWaitedFor(t *testing.T) {
	socket, tries := filepath.Join(shortDir(t), "admin.sock"), 0
	c, done, err := Client(t.Context(), socket, func() (http.Handler, io.Closer, error) {
		if tries++; tries == 2 {
			serve(t, socket)
		}
		return nil, nil, &state.LockedError{Dir: "d"}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if err := Get(t.Context(), c, "/things", nil); err != nil {
		t.Error(err)
	}
}

func TestOtherMachinesNeedACertificate(t *testing.T) {
	issue := func(name string) (*ca.Authority, *tls.Certificate, *tls.Certificate) {
		now := time.Now()
		keys := make([]*ecdsa.PrivateKey, 3)
		for i := range keys {
			var err error
			if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				t.Fatal(err)
			}
		}
		a, err := ca.NewRoot(ca.RootParams{CommonName: name + " CA", Key: keys[0], NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}, ca.Options{})
		if err != nil {
			t.Fatal(err)
		}
		names, err := ca.ParseServerNames("localhost")
		if err != nil {
			t.Fatal(err)
		}
		p := ca.EntityParams{CommonName: name, PublicKey: keys[1].Public(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), Names: names}
		server, err := a.TLSServer(p)
		if err != nil {
			t.Fatal(err)
		}
		p.PublicKey = keys[2].Public()
		client, err := a.TLSClient(p)
		if err != nil {
			t.Fatal(err)
		}
		return a, &tls.Certificate{Certificate: [][]byte{server.Raw}, PrivateKey: keys[1]}, &tls.Certificate{Certificate: [][]byte{client.Raw}, PrivateKey: keys[2]}
	}
	ours, server, client := issue("ours")
	_, _, stranger := issue("theirs")
	if _, err := ListenTLS("127.0.0.1:0", nil, nil); err == nil {
		t.Error("a listener without a CA for clients was opened")
	}
	l, err := ListenTLS("127.0.0.1:0", func() (*tls.Certificate, error) { return server, nil }, []*x509.Certificate{ours.Certificate()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, api(), l) }()
	pool := x509.NewCertPool()
	pool.AddCert(ours.Certificate())
	for name, tc := range map[string]struct {
		certs []tls.Certificate
		ok    bool
	}{"ours": {[]tls.Certificate{*client}, true}, "a server's": {[]tls.Certificate{*server}, false}, "a stranger": {[]tls.Certificate{*stranger}, false}, "none": {nil, false}} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: tc.certs}}
		resp, err := (&http.Client{Transport: tr}).Get("https://" + l.Addr().String() + "/things")
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			resp.Body.Close()
		}
		tr.CloseIdleConnections()
	}
	// A browser with the operator's certificate sends what a page tells it to.
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{*client}}}
	for site, want := range map[string]int{"cross-site": http.StatusForbidden, "": http.StatusOK} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+l.Addr().String()+"/echo", strings.NewReader(`{"Text":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		if site != "" {
			req.Header.Set("Sec-Fetch-Site", site)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("from a page %q: %d", site, resp.StatusCode)
		}
	}
	tr.CloseIdleConnections()
	floods(t, l.Addr().String())
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// floods holds that strangers get only so many connections.
func floods(t *testing.T, address string) {
	t.Helper()
	closed := func(c net.Conn) bool { // at once, and not after a handshake's time
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err := c.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	var held []net.Conn
	for range maxRemote + 1 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	if !closed(held[maxRemote]) {
		t.Errorf("connection %d is kept", maxRemote+1)
	}
}

func TestAnEmptyListingIsAnEmptyList(t *testing.T) {
	text, err := json.Marshal(NewListing[int](nil, Page{Limit: 1}, strconv.Itoa))
	if err != nil || string(text) != `{"items":[]}` {
		t.Errorf("%s, %v", text, err)
	}
	l := NewListing([]int{1, 2, 3}, Page{Limit: 2}, strconv.Itoa)
	if !slices.Equal(l.Items, []int{1, 2}) || l.Next != "2" {
		t.Errorf("%+v", l)
	}
}
