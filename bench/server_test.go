package bench

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
)

// BenchmarkMASAServer is the program masa serve, a process of its own, asked over
// 64 TLS connections that stay. An iteration is a request for each of 512
// devices, made beforehand. ns-cpu/request is processor time of the server, HTTP,
// TLS, kernel and disk included; ns-cpu/ops what the request's public-key
// operations take crypto/ecdsa, measured between the rounds. impl is what
// VOUCHMILL_SIGN_IMPL asks the server for.
func BenchmarkMASAServer(b *testing.B) {
	for _, impl := range []string{"wide", "portable", "std"} {
		b.Run("impl="+impl, func(b *testing.B) { benchServer(b, impl) })
	}
}

func benchServer(b *testing.B, impl string) {
	if CPUTimeOf(os.Getpid()) == 0 {
		b.Skip("the processor time of another process cannot be told here")
	}
	o := newOnboarding(b, 512)
	if !slices.Contains(sign.Implementations(sign.ES256, o.vouchers.key), impl) {
		b.Skipf("%s does not run on this machine", impl)
	}
	dir := b.TempDir()
	s := o.serveMASA(b, dir, []string{sign.ImplEnv + "=" + impl})
	client := newClient(b, filepath.Join(dir, "masa", "tls-ca.pem"))
	ops := masaOps(b)
	var served, base time.Duration
	requests, rounds := 0, 0
	postAll(b, client, s.url, o.requests(b, codec.FormatCMS)) // opens the connections, fills the caches
	for b.Loop() {
		b.StopTimer()
		bodies := o.requests(b, codec.FormatCMS)
		base += ops.measure(b)
		rounds++
		b.StartTimer()
		before := CPUTimeOf(s.pid)
		postAll(b, client, s.url, bodies)
		served += CPUTimeOf(s.pid) - before
		requests += len(bodies)
	}
	b.ReportMetric(float64(requests)/b.Elapsed().Seconds(), "requests/s")
	ReportCPU(b, served, float64(requests), "request")
	ReportCPU(b, base, float64(rounds), "ops")
}

// serveMASA makes the directory of a MASA below dir, with the devices on record,
// and serves it.
func (o *onboarding) serveMASA(t testing.TB, dir string, env []string) *server {
	t.Helper()
	masa := programs.path(t, "masa")
	authority, home := filepath.Join(dir, "idevid-ca.pem"), filepath.Join(dir, "masa")
	writeFile(t, authority, ca.ChainPEM(o.maker.Certificate()))
	command(t, nil, masa, "init", "--dir", home, "--url", "https://localhost:0", "--idevid-ca", authority)
	var der bytes.Buffer
	for _, d := range o.devices {
		der.Write(d.cert.Raw)
	}
	devices := filepath.Join(dir, "devices.der")
	writeFile(t, devices, der.Bytes())
	config := filepath.Join(home, "masa.yaml")
	// All callers come from one address.
	text := must(os.ReadFile(config))(t)
	unlimited := bytes.Replace(text, []byte("\nclient-rate: 50\n"), []byte("\nclient-rate: 0\n"), 1)
	if bytes.Equal(unlimited, text) {
		t.Fatalf("%s does not set client-rate: 50", config)
	}
	writeFile(t, config, unlimited)
	command(t, nil, masa, "devices", "import", "--config", config, devices)
	return serve(t, env, masa, "serve", "--config", config)
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// newClient keeps as many connections as there are callers.
func newClient(t testing.TB, anchors string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(must(os.ReadFile(anchors))(t)) {
		t.Fatalf("%s holds no certificate", anchors)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxConnsPerHost: callers, MaxIdleConnsPerHost: callers}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// postAll asks for all vouchers.
func postAll(b *testing.B, client *http.Client, url string, bodies [][]byte) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(bodies); i = int(next.Add(1)) - 1 {
				if err := post(client, url, bodies[i]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func post(client *http.Client, url string, body []byte) error {
	answer, err := client.Post(url+"/.well-known/brski/requestvoucher", codec.FormatCMS.MediaType(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = &statusError{answer.Status, string(text)}
	}
	return err
}

type statusError struct{ status, text string }

func (e *statusError) Error() string { return "the server answered " + e.status + ": " + e.text }
