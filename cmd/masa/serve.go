package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/status"
	"github.com/vouchmill/vouchmill/cmd/internal/web"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
)

const (
	sweepEvery = time.Hour
	sweepLimit = 100_000
	// expiryNotice is how long before its end a certificate is warned about.
	expiryNotice = 30 * 24 * time.Hour
)

func newServe() *cobra.Command {
	var printConfig bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer registrars until a signal ends it",
		Long: `Answer registrars. "ready URL" is printed once all listeners accept. SIGTERM and
SIGINT end it: requests in work are finished, within 10 s. SIGHUP reads the TLS
certificate and key again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, t, err := loadSettings(cmd)
			if err != nil {
				return err
			}
			if printConfig {
				return program.IOError(t.Print(cmd.OutOrStdout()))
			}
			return (&server{cmd: cmd, s: s, log: newLog(cmd.ErrOrStderr(), s)}).run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&printConfig, "print-config", false, "print every key of the configuration with its meaning and value, and stop")
	return cmd
}

func newLog(w io.Writer, s *settings) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil { // the configuration takes no other names
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// A server is a MASA that listens.
type server struct {
	cmd     *cobra.Command
	s       *settings
	log     *slog.Logger
	role    *role
	web     *web.Server
	tls     *web.Certificate
	started time.Time
	counts  counts
}

// counts are what became of requests, beside what package web counts.
type counts struct{ proximity, verified, logged, preissued, replayed, auditLogs, recorded atomic.Uint64 }

func (v *server) run(ctx context.Context) (err error) {
	v.started = time.Now()
	if v.role, err = openRole(v.cmd, v.s, true, v.observe, v.log); err != nil {
		return program.IOError(err)
	}
	defer func() { err = errors.Join(err, program.IOError(v.role.Close())) }()
	if err := v.prepare(); err != nil {
		return err
	}
	u, err := web.ParseURL(v.s.URL)
	if err != nil {
		return program.Usagef("url: %w", err)
	}
	listeners, at, err := web.Listen(ctx, u, v.s.Listen)
	if err != nil {
		return program.IOError(err)
	}
	admins, err := v.adminListeners()
	if err != nil {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
		return program.IOError(err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var ended sync.WaitGroup
	var webErr, adminErr error
	ended.Go(func() {
		defer stop()
		webErr = v.web.Run(ctx, listeners, func() { v.ready(at.String()) })
	})
	ended.Go(func() {
		defer stop()
		adminErr = admin.Serve(ctx, v.api(), admins...)
	})
	ended.Go(func() { v.sweep(ctx) })
	ended.Go(func() { v.reload(ctx) })
	ended.Wait()
	v.log.Info("ended")
	return program.IOError(errors.Join(webErr, adminErr))
}

// prepare makes the server and says what an operator should know before it
// serves.
func (v *server) prepare() error {
	c, err := v.loadTLS()
	if err != nil {
		return err
	}
	v.tls = web.NewCertificate(c)
	v.web, err = web.New(web.Config{
		Routes: []web.Route{
			{Method: http.MethodPost, Path: web.BRSKI + "requestvoucher", MaxBody: exchange.MaxRegistrarRequest, Handle: v.role.service.RequestVoucher},
			{Method: http.MethodPost, Path: web.BRSKI + "requestauditlog", MaxBody: exchange.MaxRegistrarRequest, Handle: v.role.service.RequestAuditLog},
		},
		Certificate: v.tls.Get, Log: v.log,
		Limits: web.Limits{Connections: v.s.Connections, Requests: v.s.Requests, Rate: float64(v.s.ClientRate), Burst: v.s.ClientBurst},
	})
	if err != nil {
		return err
	}
	for _, file := range v.s.IDevIDCA {
		key := strings.TrimSuffix(file, filepath.Ext(file)) + ".key"
		if _, err := os.Stat(key); err == nil {
			v.log.Warn("the key of an IDevID authority lies on this server: whoever reads it can make devices; this is for trying out", "file", key)
		}
	}
	for name, notAfter := range map[string]time.Time{"tls-cert": c.Leaf.NotAfter, "voucher-cert": v.role.chain[0].NotAfter} {
		switch left := time.Until(notAfter); {
		case left <= 0:
			v.log.Error("a certificate has expired", "key", name, "not-after", notAfter)
		case left < expiryNotice:
			v.log.Warn("a certificate expires soon", "key", name, "not-after", notAfter)
		}
	}
	return nil
}

func (v *server) loadTLS() (*tls.Certificate, error) {
	return material.LoadTLS(v.cmd, material.SignerFlags{Key: "tls-key", Cert: "tls-cert"}, v.s.TLSKey, v.s.TLSCert, material.Passphrase(v.cmd, v.s.KeyPassFile))
}

func (v *server) adminListeners() ([]net.Listener, error) {
	l, err := admin.Listen(v.s.AdminSocket)
	if err != nil {
		return nil, err
	}
	all := []net.Listener{l}
	if v.s.AdminListen == "" {
		return all, nil
	}
	anchors, err := material.LoadCertificates("admin-client-ca", v.s.AdminClientCA...)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	remote, err := admin.ListenTLS(v.s.AdminListen, v.tls.Get, anchors)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return append(all, remote), nil
}

func (v *server) ready(at string) {
	v.log.Info("ready", "url", at, "admin-socket", v.s.AdminSocket)
	fmt.Fprintln(v.cmd.OutOrStdout(), "ready", at)
}

// api is the server's side of what commands ask for.
func (v *server) api() http.Handler {
	return (&api{service: v.role.service, serialFrom: serialFrom(v.s), status: v.status}).handler()
}

// serialFrom is where certificates on lists have their serial number.
func serialFrom(s *settings) codec.SerialSource {
	from, err := codec.ParseSerialSource(s.SerialFrom)
	if err != nil { // the configuration takes no other names
		return codec.SerialFromSubject
	}
	return from
}

// statusJSON is what masa status shows.
type statusJSON struct {
	status.Server
	Vouchers map[string]uint64 `json:"vouchers"`
}

func (v *server) status() any {
	c := &v.counts
	return statusJSON{Server: status.Of(v.started, v.web.Stats(), v.role.signer.Stats(), v.role.verifier.Stats()),
		Vouchers: map[string]uint64{"proximity": c.proximity.Load(), "verified": c.verified.Load(), "logged": c.logged.Load(), "preissued": c.preissued.Load(),
			"replayed": c.replayed.Load(), "audit-logs": c.auditLogs.Load(), "refusals-on-record": c.recorded.Load()}}
}

// observe counts what the role decided and logs it with the device.
func (v *server) observe(a *masa.Attempt) {
	attrs := []slog.Attr{slog.String("id", a.ID), slog.String("operation", a.Op)}
	if a.Device != (device.ID{}) {
		attrs = append(attrs, slog.String("device", a.Device.String()))
	} else if a.Serial != "" {
		attrs = append(attrs, slog.String("serial-number", a.Serial))
	}
	if len(a.Customers) > 0 {
		attrs = append(attrs, slog.String("customers", strings.Join(a.Customers, " ")))
	}
	if a.Refusal != nil {
		if a.Recorded {
			v.counts.recorded.Add(1)
		}
		level := slog.LevelInfo
		if a.Refusal.Kind == decision.Internal {
			level = slog.LevelError
		}
		v.web.Event(level, "decided against", append(attrs, slog.String("kind", string(a.Refusal.Kind)), slog.Int("checks", len(a.Checks)))...)
		return
	}
	v.count(a)
	if a.Preissued != "" {
		attrs = append(attrs, slog.String("run", a.Preissued))
	}
	v.web.Event(slog.LevelInfo, "decided for", append(attrs, slog.Bool("replayed", a.Replayed))...)
}

func (v *server) count(a *masa.Attempt) {
	switch {
	case a.Replayed:
		v.counts.replayed.Add(1)
	case a.Op == masa.OpAuditLog:
		v.counts.auditLogs.Add(1)
	case a.Preissued != "":
		v.counts.preissued.Add(1)
	case a.Assertion == codec.AssertionProximity:
		v.counts.proximity.Add(1)
	case a.Assertion == codec.AssertionVerified:
		v.counts.verified.Add(1)
	default:
		v.counts.logged.Add(1)
	}
}

// sweep deletes answers whose time is over, in quiet times too.
func (v *server) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if _, err := v.role.service.Sweep(ctx, now, sweepLimit); err != nil && ctx.Err() == nil {
				v.log.Error("sweeping old answers failed", "error", err)
			}
		}
	}
}

// reload reads the TLS certificate again at each SIGHUP. One that cannot be used
// changes nothing.
func (v *server) reload(ctx context.Context) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
			c, err := v.loadTLS()
			if err != nil {
				v.log.Error("the TLS certificate was not read again; the one before stays", "error", err)
				continue
			}
			v.tls.Set(c)
			v.log.Info("the TLS certificate was read again", "not-after", c.Leaf.NotAfter)
		}
	}
}
