package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/announce"
	"github.com/vouchmill/vouchmill/cmd/internal/masaclient"
	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/web"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

const (
	// pathCRL is where the revocation list is served.
	pathCRL = "/domain-ca.crl"
	// The program ends within 10 s of a signal: requests in work may finish, and
	// those that still wait for a MASA after hurry are told to come back.
	drain = 9 * time.Second
	hurry = 6 * time.Second
	// expiryNotice is how long before its end a certificate is warned about.
	expiryNotice = 60 * day
)

func newServe(o *shared) *cobra.Command {
	var printConfig bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve pledges and EST clients",
		Long: `Serves BRSKI and EST on one port, as the configuration says, and prints "ready URL"
once all listeners accept. It ends within 10 s of SIGTERM or SIGINT. A MASA that
cannot be reached is no reason not to start.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if printConfig {
				return showConfig(o, cmd)
			}
			s, err := load(o.config)
			if err != nil {
				return err
			}
			return serve(cmd, s)
		},
	}
	cmd.Flags().BoolVar(&printConfig, "print-config", false, "describe every key of the configuration with its current value, and stop")
	return cmd
}

// showConfig prints the configuration, the defaults where --config is not given.
func showConfig(o *shared, cmd *cobra.Command) error {
	s := defaults("")
	if cmd.Flags().Changed("config") {
		var err error
		if s, err = load(o.config); err != nil {
			return err
		}
	}
	return program.IOError(s.table().Print(cmd.OutOrStdout()))
}

// routes are the operations of a registrar (RFC 8995 §8.3.1, RFC 7030 §3.2.2).
func routes(s *registrar.Service) []web.Route {
	return []web.Route{
		{Method: http.MethodPost, Path: web.BRSKI + "requestvoucher", MaxBody: exchange.MaxPledgeRequest, Handle: s.RequestVoucher},
		{Method: http.MethodPost, Path: web.BRSKI + "voucher_status", MaxBody: exchange.MaxTelemetry, Handle: s.VoucherStatus},
		{Method: http.MethodPost, Path: web.BRSKI + "enrollstatus", MaxBody: exchange.MaxTelemetry, Handle: s.EnrollStatus},
		{Method: http.MethodGet, Path: web.EST + "cacerts", Handle: s.CACerts},
		{Method: http.MethodGet, Path: web.EST + "csrattrs", Handle: s.CSRAttrs},
		{Method: http.MethodPost, Path: web.EST + "simpleenroll", MaxBody: exchange.MaxEST, Handle: s.SimpleEnroll},
		{Method: http.MethodPost, Path: web.EST + "simplereenroll", MaxBody: exchange.MaxEST, Handle: s.SimpleReenroll},
		{Method: http.MethodGet, Path: pathCRL, Handle: s.CRL},
	}
}

// A server is everything that runs while a registrar serves.
type server struct {
	s         *settings
	log       *slog.Logger
	role      *role
	web       *web.Server
	listeners []net.Listener
	at        *url.URL
	admin     []net.Listener
	started   time.Time
	events    tally
}

func serve(cmd *cobra.Command, s *settings) (err error) {
	ctx := cmd.Context()
	log := newLog(cmd, s)
	certificate := web.NewCertificate(nil)
	sv := &server{s: s, log: log, started: time.Now()}
	r, err := openRole(cmd, s, use{keys: true, observe: sv.events.counting(observer(log)), network: func(c *tls.Certificate) registrar.Network {
		certificate.Set(c)
		return masaclient.New(masaclient.Config{Certificate: certificate.Get})
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.IOError(r.Close())) }()
	sv.role = r
	sv.warn()
	if sv.web, err = web.New(web.Config{Routes: routes(r.service), Certificate: certificate.Get, Log: log, Limits: s.limits()}); err != nil {
		return err
	}
	if err := sv.listen(ctx); err != nil {
		return errors.Join(err, sv.shut())
	}
	return sv.run(ctx, func() { fmt.Fprintln(cmd.OutOrStdout(), "ready", sv.at) })
}

func (s *settings) limits() web.Limits {
	return web.Limits{Drain: drain, Connections: s.connections, Handshakes: s.handshakes, HandshakesPerAddress: s.addressHandshakes, Requests: s.requests}
}

// warn says what works and should not stay as it is.
func (sv *server) warn() {
	if len(sv.role.service.ListManufacturers()) == 0 {
		sv.log.Warn("no manufacturer is configured, so no device can join; add one with registrar manufacturers add")
	}
	if sv.role.db.Recovered() {
		sv.log.Warn("the state had not been closed cleanly and was recovered; nothing that was acknowledged is lost", "state", sv.s.state)
	}
	for _, c := range append([]*x509.Certificate{sv.role.tls.Leaf}, sv.role.authority) {
		if left := time.Until(c.NotAfter); left < expiryNotice {
			sv.log.Warn("a certificate of this registrar ends soon or has ended; replace it in time", "subject", c.Subject.String(), "not-after", c.NotAfter)
		}
	}
}

// listen opens all listeners.
func (sv *server) listen(ctx context.Context) error {
	u, err := web.ParseURL(sv.s.url)
	if err != nil {
		return program.Usagef("url: %w", err)
	}
	if sv.listeners, sv.at, err = web.Listen(ctx, u, sv.s.listen); err != nil {
		return program.IOError(err)
	}
	socket, err := admin.Listen(sv.s.adminSocket)
	if err != nil {
		return program.IOError(err)
	}
	sv.admin = append(sv.admin, socket)
	if sv.s.adminListen != "" {
		anchors, err := material.LoadCertificates("admin-client-ca", sv.s.adminCA...)
		if err != nil {
			return err
		}
		if own := sv.role.authority; slices.ContainsFunc(anchors, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubjectPublicKeyInfo, own.RawSubjectPublicKeyInfo)
		}) {
			return program.Usagef("admin-client-ca: it is the CA that certifies devices, so that every device could administer this registrar; use one of its own")
		}
		l, err := admin.ListenTLS(sv.s.adminListen, func() (*tls.Certificate, error) { return sv.role.tls, nil }, anchors)
		if err != nil {
			return program.IOError(err)
		}
		sv.admin = append(sv.admin, l)
	}
	return nil
}

// announce is found by multicast DNS until ctx ends, where that is configured.
func (sv *server) announce(ctx context.Context) error {
	if !sv.s.announce {
		return nil
	}
	port := portOf(sv.listeners[0])
	return announce.Run(ctx, announce.Config{
		Services: []announce.Service{{Type: announce.Registrar, Port: port}, {Type: announce.Proxy, Port: port}},
		Instance: orElse(sv.s.announceName, announce.InstanceOf(sv.at.Hostname())), Interface: sv.s.announceInterface, Log: sv.log,
	})
}

func portOf(l net.Listener) int {
	_, text, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return port
}

// shut closes listeners that nobody serves.
func (sv *server) shut() error {
	var err error
	for _, l := range append(sv.listeners, sv.admin...) {
		err = errors.Join(err, l.Close())
	}
	return err
}

// run serves until ctx ends or one of the servers fails, and ends all.
func (sv *server) run(ctx context.Context, ready func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(hurry, sv.role.service.Close)
	})()
	ended := make(chan error, 2)
	go func() { ended <- sv.web.Run(ctx, sv.listeners, ready) }()
	go func() { ended <- admin.Serve(ctx, newAPI(sv.role.service, sv.counted), sv.admin...) }()
	announced := make(chan error, 1)
	go func() { announced <- sv.announce(ctx) }()
	err := <-ended
	stop()
	return program.IOError(errors.Join(err, <-ended, <-announced))
}
