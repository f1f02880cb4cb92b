package revocation

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/outbound"
)

const (
	fetchTimeout = 5 * time.Second
	maxList      = 8 << 20     // octets of a list
	maxURLs      = 4           // of a certificate
	maxKept      = 256         // lists
	keepList     = time.Hour   // at most; a list that is replaced sooner, until then
	keepFailure  = time.Minute // that a list could not be had
	maxFetches   = 16          // at a time
)

// Config is what a Checker needs. The zero value is usable.
type Config struct {
	// Strict refuses a certificate that names a list where none can be had.
	Strict bool
	// Hosts may have any address, in the form HOST or HOST:PORT.
	Hosts []string
	// Log gets what could not be fetched, nil for nothing.
	Log *slog.Logger
	// Roots are those of https servers, nil for the operating system's.
	Roots *x509.CertPool
}

// A Checker knows what was revoked.
type Checker struct {
	cfg     Config
	client  *http.Client
	fetches chan struct{} // a place for each at a time

	mu   sync.Mutex
	kept map[[sha256.Size]byte]*kept
}

// kept is a list, or why there is none, until a time. It is fetched once: done is
// closed when the rest is there.
type kept struct {
	done  chan struct{}
	list  *revoked
	err   error
	until time.Time
}

// New makes a Checker.
func New(cfg Config) *Checker {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	dial := &outbound.Policy{Hosts: cfg.Hosts, Remedy: "name the host in revocation-hosts if it is right", Timeout: fetchTimeout}
	return &Checker{cfg: cfg, fetches: make(chan struct{}, maxFetches), kept: map[[sha256.Size]byte]*kept{}, client: &http.Client{
		Timeout:       fetchTimeout,
		Transport:     &http.Transport{DialContext: dial.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots}, DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// A RevokedError is a certificate that its issuer revoked.
type RevokedError struct {
	Certificate *x509.Certificate
	URL         string
}

// Error names the certificate.
func (e *RevokedError) Error() string {
	return fmt.Sprintf("the certificate %x of %q was revoked by its issuer, says %s", e.Certificate.SerialNumber, e.Certificate.Subject, e.URL)
}

// Check returns nil, or why a path, the end entity's certificate first and each
// issued by the next, cannot be used: a *RevokedError, or of a Strict Checker
// that a list could not be had.
func (c *Checker) Check(ctx context.Context, path []*x509.Certificate, now time.Time) error {
	for i := range len(path) - 1 {
		if err := c.checkOne(ctx, path[i], path[i+1], now); err != nil {
			return err
		}
	}
	return nil
}

func (c *Checker) checkOne(ctx context.Context, cert, issuer *x509.Certificate, now time.Time) error {
	var trouble error
	urls := 0
	for _, u := range cert.CRLDistributionPoints {
		if parsed, err := url.Parse(u); err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil {
			trouble = errors.Join(trouble, fmt.Errorf("%.200q is not fetched", u))
			continue
		}
		if urls++; urls > maxURLs {
			break
		}
		list, err := c.list(ctx, u, issuer, now)
		if err == nil {
			err = list.current(now)
		}
		switch {
		case err != nil:
			trouble = errors.Join(trouble, fmt.Errorf("revocation list %.200s: %w", u, err))
		case list.serials[string(cert.SerialNumber.Bytes())]:
			return &RevokedError{cert, u}
		default:
			return nil // one list that counts is enough
		}
	}
	if trouble == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.cfg.Strict {
		return fmt.Errorf("whether %q was revoked cannot be told: %w", cert.Subject, trouble)
	}
	c.cfg.Log.Debug("whether a certificate was revoked cannot be told", "subject", cert.Subject.String(), "error", trouble.Error())
	return nil
}

// list returns a list, fetched now or of late.
func (c *Checker) list(ctx context.Context, u string, issuer *x509.Certificate, now time.Time) (*revoked, error) {
	key := sha256.Sum256(append([]byte(u+"\x00"), issuer.RawSubjectPublicKeyInfo...))
	c.mu.Lock()
	k := c.kept[key]
	if k == nil || k.over(now) {
		c.evict(now)
		k = &kept{done: make(chan struct{})}
		c.kept[key] = k
		// On a goroutine of its own: others wait for it too, and the one that asked
		// first may leave.
		go c.fill(context.WithoutCancel(ctx), k, u, issuer, now)
	}
	c.mu.Unlock()
	select {
	case <-k.done:
		return k.list, k.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// over reports whether what is kept is too old. One that is being fetched is not.
func (k *kept) over(now time.Time) bool {
	select {
	case <-k.done:
		return now.After(k.until)
	default:
		return false
	}
}

// evict makes room for one more: what is over goes, else something.
func (c *Checker) evict(now time.Time) {
	for key, k := range c.kept {
		if k.over(now) {
			delete(c.kept, key)
		}
	}
	for key := range c.kept {
		if len(c.kept) < maxKept {
			return
		}
		delete(c.kept, key)
	}
}

func (c *Checker) fill(ctx context.Context, k *kept, u string, issuer *x509.Certificate, now time.Time) {
	defer close(k.done)
	select {
	case c.fetches <- struct{}{}:
		defer func() { <-c.fetches }()
	default:
		k.err = fmt.Errorf("%d lists are being fetched already", maxFetches)
		return // until is zero: the next one tries again
	}
	k.until = now.Add(keepFailure)
	der, err := c.fetch(ctx, u)
	if err == nil {
		k.list, err = parse(der, issuer)
	}
	if k.err = err; err != nil {
		return
	}
	k.until = now.Add(keepList)
	if k.list.nextUpdate.Before(k.until) {
		k.until = maxTime(k.list.nextUpdate, now.Add(keepFailure))
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (c *Checker) fetch(ctx context.Context, u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server says %s", resp.Status)
	}
	der, err := io.ReadAll(io.LimitReader(resp.Body, maxList+1))
	if err != nil {
		return nil, err
	}
	if len(der) > maxList {
		return nil, fmt.Errorf("it has over %d octets", maxList)
	}
	return der, nil
}
