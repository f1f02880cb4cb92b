package main

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/web"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
	"github.com/vouchmill/vouchmill/sign/pkcs11"
)

const initLong = `Make the directory of a MASA: its configuration masa.yaml, a voucher signer under an
authority of its own (voucher-ca.pem is what devices trust), a TLS certificate under
another (tls-ca.pem is what registrars trust, if they are not to rely on public
authorities), and the key of the audit log.

The keys of the two authorities, voucher-ca.key and tls-ca.key, belong offline once
the directory is made: serve does not need them.

--demo-idevid-ca makes an authority for IDevIDs as well, to try things out. In
production it is the factory's, and its key is not on a server.`

// Lifetimes of what init makes.
const (
	caYears      = 20
	signerYears  = 10
	serverYears  = 2
	clockSlack   = time.Hour // clocks of others may be behind
	demoCA       = "idevid-ca.pem"
	demoCAKey    = "idevid-ca.key"
	settingsFile = "masa.yaml"
)

// initOptions are the flags of init.
type initOptions struct {
	dir, url, cn            string
	sans, idevidCA          []string
	demo                    bool
	voucherKey, voucherCert string
	passFile                string
}

func newInit() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init --dir DIR --url https://HOST:PORT (--idevid-ca FILE… | --demo-idevid-ca)",
		Short: "Make the directory of a MASA: configuration, keys and certificates",
		Long:  initLong,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", "", "the directory to make; it must not be there yet")
	f.StringVar(&o.url, "url", "", "where registrars find this MASA, https://HOST:PORT")
	f.StringVar(&o.cn, "cn", "Vouchmill MASA", "common name of the voucher signer; the authorities have more behind it")
	f.StringArrayVar(&o.sans, "san", nil, "further host name or address of the server's certificate; may be repeated")
	f.StringArrayVar(&o.idevidCA, "idevid-ca", nil, "authority of the devices' IDevIDs, PEM; may be repeated")
	f.BoolVar(&o.demo, "demo-idevid-ca", false, "make an authority for IDevIDs too, to try things out")
	f.StringVar(&o.voucherKey, "voucher-key", "", "private key of an existing voucher signer: PEM file, or pkcs11: URI (RFC 7512)")
	f.StringVar(&o.voucherCert, "voucher-cert", "", "certificate and chain of that signer, PEM")
	f.StringVar(&o.passFile, "key-pass-file", "", "file whose first line decrypts --voucher-key, instead of "+material.PassEnv+" or a prompt")
	cobra.CheckErr(cmd.MarkFlagRequired("dir"))
	cobra.CheckErr(cmd.MarkFlagRequired("url"))
	return cmd
}

func (o *initOptions) run(cmd *cobra.Command) error {
	u, err := web.ParseURL(o.url)
	if err != nil {
		return program.Usagef("--url: %w", err)
	}
	names, err := ca.ParseServerNames(append([]string{u.Hostname()}, o.sans...)...)
	if err != nil {
		return program.Usagef("--url, --san: %w", err)
	}
	switch {
	case (o.voucherKey == "") != (o.voucherCert == ""):
		return program.Usagef("--voucher-key and --voucher-cert belong together")
	case !o.demo && len(o.idevidCA) == 0:
		return program.Usagef("whose devices are these? Give --idevid-ca, or --demo-idevid-ca to try things out")
	}
	m := &maker{o: o, cmd: cmd, url: u, names: names, now: time.Now().UTC().Truncate(time.Second), settings: defaultSettings()}
	if err := material.Build(o.dir, m.fill); err != nil {
		return err
	}
	return m.say()
}

// A maker fills the directory.
type maker struct {
	o        *initOptions
	cmd      *cobra.Command
	url      *url.URL
	names    ca.ServerNames
	now      time.Time
	settings *settings
	f        *material.Folder
}

func (m *maker) fill(f *material.Folder) error {
	m.f = f
	m.settings.URL = m.url.String()
	for _, step := range []func() error{m.voucherSigner, m.server, m.auditKey, m.idevidCAs, m.configuration} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// authority makes a CA, its certificate and key in files of that name.
func (m *maker) authority(name, cn string, notAfter time.Time) (*ca.Authority, error) {
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		return nil, err
	}
	a, err := ca.NewRoot(ca.RootParams{CommonName: cn, Key: key, NotBefore: m.now.Add(-clockSlack), NotAfter: notAfter}, ca.Options{})
	if err != nil {
		return nil, program.Usagef("--cn: %w", err)
	}
	if err := m.f.Key(name+".key", key); err != nil {
		return nil, err
	}
	return a, m.f.Certificates(name+".pem", a.Certificate())
}

// entity makes an end entity's certificate and key in files of that name.
func (m *maker) entity(name string, a *ca.Authority, issue func(ca.EntityParams) (*x509.Certificate, error), p ca.EntityParams) error {
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		return err
	}
	p.PublicKey, p.NotBefore = key.Public(), m.now.Add(-clockSlack)
	cert, err := issue(p)
	if err != nil {
		return program.Usagef("%s.pem: %w", name, err)
	}
	if err := m.f.Key(name+".key", key); err != nil {
		return err
	}
	return m.f.Certificates(name+".pem", cert, a.Certificate())
}

// voucherSigner makes a signer, or takes over the one that is given.
func (m *maker) voucherSigner() error {
	if m.o.voucherKey != "" {
		return m.givenSigner()
	}
	a, err := m.authority("voucher-ca", m.o.cn+" voucher CA", m.now.AddDate(caYears, 0, 0))
	if err != nil {
		return err
	}
	return m.entity("voucher", a, a.VoucherSigner, ca.EntityParams{CommonName: m.o.cn, NotAfter: m.now.AddDate(signerYears, 0, 0)})
}

// givenSigner checks the signer that is given and copies its certificates; the
// key stays where it is.
func (m *maker) givenSigner() error {
	signer, chain, err := material.LoadSigner(m.cmd, material.SignerFlags{Key: "--voucher-key", Cert: "--voucher-cert"}, m.o.voucherKey, m.o.voucherCert,
		material.Passphrase(m.cmd, m.o.passFile), sign.Options{}, 1)
	if err != nil {
		return err
	}
	if err := signer.Close(); err != nil {
		return err
	}
	if m.settings.VoucherKey, err = absolute(m.o.voucherKey); err != nil {
		return err
	}
	if m.o.passFile != "" {
		if m.settings.KeyPassFile, err = absolute(m.o.passFile); err != nil {
			return err
		}
	}
	if err := m.f.Certificates("voucher.pem", chain...); err != nil {
		return err
	}
	return m.f.Certificates("voucher-ca.pem", chain[len(chain)-1])
}

// server makes the TLS certificate.
func (m *maker) server() error {
	a, err := m.authority("tls-ca", m.o.cn+" TLS CA", m.now.AddDate(caYears, 0, 0))
	if err != nil {
		return err
	}
	cn := m.url.Hostname()
	if len(cn) > 64 { // the names that count are in the subjectAltName
		cn = m.o.cn
	}
	return m.entity("tls", a, a.TLSServer, ca.EntityParams{CommonName: cn, NotAfter: m.now.AddDate(serverYears, 0, 0), Names: m.names})
}

func (m *maker) auditKey() error {
	signer, verifier, err := audit.GenerateKey(rand.Reader, m.url.Host+"/audit")
	if err != nil {
		return err
	}
	if err := m.f.Secret("audit.key", []byte(signer+"\n")); err != nil {
		return err
	}
	return m.f.Write("audit.pub", []byte(verifier+"\n"))
}

// idevidCAs copies those that are given and makes the one for trying out.
func (m *maker) idevidCAs() error {
	for i, file := range m.o.idevidCA {
		certs, err := material.LoadCertificates("--idevid-ca", file)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("idevid-ca-%d.pem", i+1)
		if err := m.f.Certificates(name, certs...); err != nil {
			return err
		}
		m.settings.IDevIDCA = append(m.settings.IDevIDCA, name)
	}
	if !m.o.demo {
		return nil
	}
	if _, err := m.authority("idevid-ca", m.o.cn+" demo IDevID CA", ca.NoExpiry()); err != nil {
		return err
	}
	m.settings.IDevIDCA = append(m.settings.IDevIDCA, demoCA)
	return nil
}

func (m *maker) configuration() error {
	var text bytes.Buffer
	if err := m.settings.table().Print(&text); err != nil {
		return err
	}
	return m.f.Write(settingsFile, text.Bytes())
}

// say tells what was made and what comes next.
func (m *maker) say() error {
	path := func(name string) string { return filepath.Join(m.o.dir, name) }
	out := m.cmd.OutOrStdout()
	fmt.Fprintf(out, "made %s: %s, keys and certificates\n", m.o.dir, settingsFile)
	fmt.Fprintf(out, "devices trust   %s\n", path("voucher-ca.pem"))
	fmt.Fprintf(out, "registrars trust %s for TLS, and %s for the audit log\n", path("tls-ca.pem"), path("audit.pub"))
	if m.o.demo {
		fmt.Fprintf(out, "%s issues IDevIDs for trying out; whoever has %s can make devices\n", path(demoCA), path(demoCAKey))
	}
	_, err := fmt.Fprintf(out, "next: masa serve --config %s\n", path(settingsFile))
	return program.IOError(err)
}

// absolute makes the name of a file independent of where the program is; other
// names, of keys on tokens, stay.
func absolute(name string) (string, error) {
	if pkcs11.IsURI(name) {
		return name, nil
	}
	return filepath.Abs(name)
}
