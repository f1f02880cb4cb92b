package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/announce"
	"github.com/vouchmill/vouchmill/cmd/internal/circuit"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
)

// proxyFlags are those of proxy.
type proxyFlags struct {
	registrar, listen, level string
	limits                   circuit.Limits
	announce                 bool
	iface, name              string
}

func newProxy() *cobra.Command {
	var f proxyFlags
	cmd := &cobra.Command{
		Use:   "proxy --registrar HOST:PORT",
		Short: "Pass connections of pledges on to a registrar (join proxy)",
		Long: `Passes TCP connections on, octets unchanged, for pledges in a network that does not
lead to the registrar (RFC 8995 section 4). It has no key and needs no configuration.
Connections over a limit are reset. It prints "ready HOST:PORT" once it listens.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.registrar, "registrar", "", "where connections lead")
	flags.StringVar(&f.listen, "listen", ":0", "HOST:PORT to listen on; port 0 takes a free one")
	flags.IntVar(&f.limits.Circuits, "max", 256, "connections at a time")
	flags.IntVar(&f.limits.CircuitsPerAddress, "max-per-address", 16, "connections of one address at a time")
	flags.DurationVar(&f.limits.Idle, "idle", 150*time.Second, "how long a connection lives on which nothing moves")
	flags.DurationVar(&f.limits.Total, "total", time.Hour, "how long a connection lives")
	flags.BoolVar(&f.announce, "announce", false, "be found by pledges, by multicast DNS")
	flags.StringVar(&f.iface, "announce-interface", "", "network interface to announce on (default: the system's choice)")
	flags.StringVar(&f.name, "announce-name", "", "name of this proxy among others on the link (default: that of the machine)")
	flags.StringVar(&f.level, "log-level", "info", "what is logged: debug, info, warn or error")
	cobra.CheckErr(cmd.MarkFlagRequired("registrar"))
	return cmd
}

// check looks at the flags, and names the proxy where they do not.
func (f *proxyFlags) check() error {
	for _, limit := range []struct {
		name string
		ok   bool
	}{
		{"--max", f.limits.Circuits > 0}, {"--max-per-address", f.limits.CircuitsPerAddress > 0},
		{"--idle", f.limits.Idle > 0}, {"--total", f.limits.Total > 0},
	} {
		if !limit.ok {
			return program.Usagef("%s must be more than 0", limit.name)
		}
	}
	if f.name == "" {
		host, err := os.Hostname()
		if err != nil {
			return program.IOError(err)
		}
		first, _, _ := strings.Cut(host, ".")
		f.name = announce.InstanceOf(first)
	}
	if err := announce.CheckInstance(f.name); err != nil {
		return program.Usagef("--announce-name: %w", err)
	}
	return nil
}

func (f *proxyFlags) run(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return program.Usagef("--log-level: %w", err)
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	proxy, err := circuit.New(circuit.Config{Registrar: f.registrar, Limits: f.limits, Log: log})
	if err != nil {
		return program.Usagef("--registrar: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", f.listen)
	if err != nil {
		return program.IOError(fmt.Errorf("--listen: %w", err))
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	announced := make(chan error, 1)
	go func() { announced <- f.announced(ctx, portOf(l), log) }()
	fmt.Fprintln(cmd.OutOrStdout(), "ready", l.Addr())
	err = proxy.Run(ctx, []net.Listener{l})
	stop()
	return program.IOError(errors.Join(err, <-announced))
}

// announced is found by multicast DNS until ctx ends, where that is wanted.
func (f *proxyFlags) announced(ctx context.Context, port int, log *slog.Logger) error {
	if !f.announce {
		return nil
	}
	return announce.Run(ctx, announce.Config{Services: []announce.Service{{Type: announce.Proxy, Port: port}}, Instance: f.name, Interface: f.iface, Log: log})
}
