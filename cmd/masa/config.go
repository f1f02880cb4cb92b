package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/config"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/web"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/sign/pkcs11"
)

// settings are the keys of masa.yaml.
type settings struct {
	URL    string
	Listen []string

	TLSCert, TLSKey            string
	VoucherCert, VoucherKey    string
	KeyPassFile                string
	VoucherAnchors             []string
	AuditKey                   string
	IDevIDCA, IDevIDBetween    []string
	SerialFrom, IDevIDLifetime string
	Pin, EContent              string
	RequirePrior               bool
	Revocation                 string
	RevocationHosts            []string
	RequestAge, Skew, Replay   time.Duration
	PinLifetime, Nonceless     time.Duration
	State, Runs                string
	MinFree                    int
	AdminSocket, AdminListen   string
	AdminClientCA              []string
	ClientRate, ClientBurst    int
	Connections, Requests      int
	LogLevel, LogFormat        string
}

// defaultSettings are those of a directory made by init.
func defaultSettings() *settings {
	return &settings{
		TLSCert: "tls.pem", TLSKey: "tls.key", VoucherCert: "voucher.pem", VoucherKey: "voucher.key", AuditKey: "audit.key",
		IDevIDCA: nil, SerialFrom: "subject", IDevIDLifetime: "check", Pin: "farthest", Revocation: "off", EContent: "anima",
		RequestAge: masa.DefaultRequestAge, Skew: masa.DefaultSkew, Replay: masa.DefaultReplay, PinLifetime: masa.DefaultPinLifetime,
		Nonceless: masa.DefaultNoncelessLifetime, State: "state", Runs: "runs", MinFree: 256, AdminSocket: "admin.sock",
		ClientRate: 50, ClientBurst: 1000, Connections: 4096, Requests: 1024, LogLevel: "info", LogFormat: "text",
	}
}

const day = 24 * time.Hour

// table binds the keys, in the order in which an operator meets them.
func (s *settings) table() *config.Table {
	k := func(name, values, def, meaning string) config.Key {
		return config.Key{Name: name, Values: values, Default: def, Meaning: meaning}
	}
	return config.NewTable("masa",
		config.Text(&s.URL, k("url", "https://HOST or https://HOST:PORT", "required", "where registrars find this MASA; what IDevIDs name as their MASA"), checkURL),
		config.List(&s.Listen, k("listen", "a list of HOST:PORT", "the port of url, on every loopback address if its host is one, else on all", "addresses to listen on"), checkHostPort),
		config.Path(&s.TLSCert, k("tls-cert", "FILE", "tls.pem", "certificate of the TLS server, then its chain, PEM")),
		config.Path(&s.TLSKey, k("tls-key", "FILE", "tls.key", "private key of the TLS server, PEM")),
		config.Path(&s.VoucherCert, k("voucher-cert", "FILE", "voucher.pem", "certificate of the voucher signer, then its chain, PEM")),
		config.URIOrPath(&s.VoucherKey, k("voucher-key", "FILE or pkcs11:URI", "voucher.key", "private key of the voucher signer: PEM, or on a token (RFC 7512)"), pkcs11.IsURI),
		config.Path(&s.KeyPassFile, k("key-pass-file", "FILE", "VOUCHMILL_KEY_PASS, else a prompt", "file whose first line decrypts encrypted keys")),
		config.Paths(&s.VoucherAnchors, k("voucher-anchors", "a list of FILEs", "the last certificate of voucher-cert", "authorities of our voucher signers, of earlier ones too")),
		config.Path(&s.AuditKey, k("audit-key", "FILE", "audit.key", "key that signs the heads of the audit log")),

		config.Paths(&s.IDevIDCA, k("idevid-ca", "a list of FILEs", "required", "authorities that issued our devices' IDevIDs, PEM")),
		config.Paths(&s.IDevIDBetween, k("idevid-intermediates", "a list of FILEs", "none", "intermediate authorities that devices do not present, PEM")),
		config.Of(&s.SerialFrom, k("serial-from", "subject, hw-module-name or cn", "subject", "where an IDevID's serial number is taken from"), config.OneOf("subject", "hw-module-name", "cn")),
		config.Of(&s.IDevIDLifetime, k("idevid-lifetime", "check or ignore", "check", "whether IDevIDs that have expired are refused"), config.OneOf("check", "ignore")),

		config.Of(&s.Pin, k("pin", "farthest or registrar", "farthest", "which certificate of a registrar's path vouchers pin: the one farthest from its own, or its own"), config.OneOf("farthest", "registrar")),
		config.Of(&s.Revocation, k("revocation", "off, prefer or require", "off", "whether the revocation lists that registrars' certificates name are fetched: prefer accepts a registrar whose list cannot be had, require does not"), config.OneOf("off", "prefer", "require")),
		config.List(&s.RevocationHosts, k("revocation-hosts", "a list of HOST and HOST:PORT", "none", "hosts of revocation lists that may have addresses of this site"), nil),
		config.Bool(&s.RequirePrior, k("require-prior-request", "true or false", "false", "refuse requests with a nonce that do not hold the device's own request")),
		config.Of(&s.EContent, k("econtent", "anima or data", "anima", "content type of CMS vouchers: id-ct-animaJSONVoucher, or id-data for old devices"), config.OneOf("anima", "data")),
		config.Duration(&s.RequestAge, k("request-age", "DURATION", "1d", "how old a request may be"), time.Minute, 365*day),
		config.Duration(&s.Skew, k("clock-skew", "DURATION", "5m", "how far a request's time may lie ahead"), time.Second, day),
		config.Duration(&s.Replay, k("replay", "DURATION", "1d", "how long the same request gets the same answer again"), time.Minute, 30*day),
		config.Duration(&s.PinLifetime, k("pin-lifetime", "DURATION", "20m", "how long the pinned certificate must still be valid"), time.Minute, 365*day),
		config.Duration(&s.Nonceless, k("nonceless-lifetime", "DURATION", "30d", "longest life of a voucher without nonce, for customers without a limit of their own"), time.Hour, 3650*day),

		config.Path(&s.State, k("state", "DIR", "state", "where devices, customers, answers and the audit log are kept")),
		config.Path(&s.Runs, k("runs", "DIR", "runs", "where the vouchers of imported runs are kept")),
		config.Int(&s.MinFree, k("min-free-mib", "1 to 1048576", "256", "MiB that must be free on the disk: below that nothing is issued"), 1, 1<<20),

		config.Path(&s.AdminSocket, k("admin-socket", "FILE", "admin.sock", "Unix socket of the admin API, mode 0600")),
		config.Text(&s.AdminListen, k("admin-listen", "HOST:PORT", "none", "address of the admin API for other machines, by TLS with client certificates; needs admin-client-ca"), checkHostPort),
		config.Paths(&s.AdminClientCA, k("admin-client-ca", "a list of FILEs", "none", "authorities of the client certificates for admin-listen")),

		config.Int(&s.ClientRate, k("client-rate", "0 to 1000000, 0 for no limit", "50", "requests a second that one client may make in the long run: one registrar, by the key of its TLS certificate, or one address without a certificate. A device that joins takes two, its voucher and its audit log (RFC 8995 sections 5.5 and 5.8)"), 0, 1e6),
		config.Int(&s.ClientBurst, k("client-burst", "1 to 1000000", "1000", "requests that one client may make at once, such as a site whose devices all come at the same time; one more is answered 429 with Retry-After"), 1, 1e6),
		config.Int(&s.Connections, k("connections", "1 to 1000000", "4096", "connections at a time"), 1, 1e6),
		config.Int(&s.Requests, k("requests", "1 to 1000000", "1024", "requests in work at a time"), 1, 1e6),
		config.Of(&s.LogLevel, k("log-level", "debug, info, warn or error", "info", "what is logged on standard error"), config.OneOf("debug", "info", "warn", "error")),
		config.Of(&s.LogFormat, k("log-format", "text or json", "text", "form of the log"), config.OneOf("text", "json")),
	)
}

func checkURL(text string) error {
	_, err := web.ParseURL(text)
	return err
}

func checkHostPort(text string) error {
	if _, _, err := net.SplitHostPort(text); err != nil {
		return fmt.Errorf("%.80q is not HOST:PORT", text)
	}
	return nil
}

// loadSettings reads the configuration that --config names.
func loadSettings(cmd *cobra.Command) (*settings, *config.Table, error) {
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, nil, err
	}
	s := defaultSettings()
	t := s.table()
	err = t.Load(file)
	var wrong *config.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, program.Usagef("--config: %w; masa init makes it", err)
	case errors.As(err, &wrong):
		return nil, nil, program.Usagef("--config: %w", err)
	case err != nil:
		return nil, nil, program.IOError(err)
	case (s.AdminListen == "") != (len(s.AdminClientCA) == 0):
		return nil, nil, program.Usagef("--config %s: admin-listen and admin-client-ca belong together", file)
	}
	return s, t, nil
}
