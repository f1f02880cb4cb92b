package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/config"
	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/web"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

const (
	// domainYears is how long the domain CA lives, and the registrar's
	// certificate with it: its key lies beside the CA's, so a shorter life would
	// protect nothing and end one day without anybody noticing.
	domainYears = 20
	// backdating makes certificates valid for clocks that are behind.
	backdating = time.Hour
)

// initFlags are those of init.
type initFlags struct {
	dir, url, name string
	sans           []string
	admit          string
	maker          string
	manufacturer   []string
	masaURL        string
	masaTrust      []string
	voucherTrust   []string
	auditKeys      []string
}

func newInit(o *shared) *cobra.Command {
	f := initFlags{}
	cmd := &cobra.Command{
		Use:   "init --dir DIR --url https://HOST:PORT",
		Short: "Make a registrar: its domain CA, certificate, configuration and state",
		Long: `Makes the directory DIR with everything 'registrar serve --config DIR/registrar.yaml'
needs: domain-ca.pem and domain-ca.key (20 years), registrar.pem and registrar.key
with the names of the URL and of --san, registrar.yaml, and the state, with the
first manufacturer where one is given. Nothing is ever overwritten. A registrar
whose URL is not this machine's own announces itself by multicast DNS (announce).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.run(); err != nil {
				return err
			}
			return o.print(cmd, map[string]string{"config": filepath.Join(f.dir, fileConfig), "domain-ca": filepath.Join(f.dir, fileCA)}, func() string {
				return fmt.Sprintf("%s is ready: registrar serve --config %s\n", f.dir, filepath.Join(f.dir, fileConfig))
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "", "directory to make")
	flags.StringVar(&f.url, "url", "", "where pledges and EST clients find the registrar, https://HOST:PORT")
	flags.StringVar(&f.name, "cn", "", "name of the domain (default: the URL's host)")
	flags.StringArrayVar(&f.sans, "san", nil, "further host name or address for the registrar's certificate; may be repeated")
	flags.StringVar(&f.admit, "admit", string(registrar.AdmitListed), "which devices may join: list, ask or manufacturer")
	flags.StringArrayVar(&f.manufacturer, "manufacturer", nil, "IDevID CA of the first manufacturer; may be repeated")
	flags.StringVar(&f.maker, "manufacturer-name", "", "its name (default: that of its IDevID CA)")
	flags.StringVar(&f.masaURL, "masa-url", "", "its MASA, where IDevIDs do not state one")
	flags.StringArrayVar(&f.masaTrust, "masa-trust", nil, "what its MASA's TLS certificate must lead to (default: the system's anchors)")
	flags.StringArrayVar(&f.voucherTrust, "voucher-trust", nil, "what the signer of its vouchers must lead to")
	flags.StringArrayVar(&f.auditKeys, "audit-key", nil, auditKeyUsage)
	cobra.CheckErr(cmd.MarkFlagRequired("dir"))
	cobra.CheckErr(cmd.MarkFlagRequired("url"))
	return cmd
}

// run makes the directory.
func (f *initFlags) run() error {
	u, err := web.ParseURL(f.url)
	if err != nil {
		return program.Usagef("--url: %w", err)
	}
	if _, err := registrar.ParseAdmission(f.admit); err != nil {
		return program.Usagef("--admit: %w", err)
	}
	names, err := ca.ParseServerNames(append([]string{u.Hostname()}, f.sans...)...)
	if err != nil {
		return program.Usagef("--url, --san: %w", err)
	}
	if f.name == "" {
		f.name = u.Hostname()
	}
	first, err := f.firstManufacturer()
	if err != nil {
		return err
	}
	return material.Build(f.dir, func(folder *material.Folder) error { return f.fill(folder, u, names, first) })
}

// firstManufacturer reads the manufacturer of the flags, nil for none.
func (f *initFlags) firstManufacturer() (*registrar.Manufacturer, error) {
	if len(f.manufacturer) == 0 {
		if f.maker != "" || f.masaURL != "" || len(f.masaTrust)+len(f.voucherTrust)+len(f.auditKeys) > 0 {
			return nil, program.Usagef("--masa-url, --masa-trust, --voucher-trust, --audit-key and --manufacturer-name are about a manufacturer; name its IDevID CA with --manufacturer")
		}
		return nil, nil
	}
	m := makerFlags{idevidCA: f.manufacturer, masaURL: f.masaURL, masaTrust: f.masaTrust, voucherTrust: f.voucherTrust, auditKeys: f.auditKeys, serialFrom: "subject", lifetime: lifetimeCheck}
	if f.maker != "" {
		return m.manufacturer(f.maker, "--manufacturer")
	}
	named, err := m.manufacturer("manufacturer", "--manufacturer")
	if err != nil {
		return nil, err
	}
	if name := named.Anchors[0].Subject.CommonName; name != "" && len(name) <= 64 {
		named.Name = name
	}
	return named, nil
}

// fill writes everything into the directory in the making.
func (f *initFlags) fill(folder *material.Folder, u *url.URL, names ca.ServerNames, first *registrar.Manufacturer) error {
	now := time.Now()
	caKey, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		return err
	}
	defer sign.DestroyKey(caKey)
	authority, err := ca.NewRoot(ca.RootParams{CommonName: commonName(f.name, " domain CA"), Key: caKey,
		NotBefore: now.Add(-backdating), NotAfter: now.AddDate(domainYears, 0, 0)}, ca.Options{})
	if err != nil {
		return program.Usagef("--cn: %w", err)
	}
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		return err
	}
	defer sign.DestroyKey(key)
	own, err := authority.Registrar(ca.EntityParams{CommonName: commonName(f.name, " registrar"), PublicKey: key.Public(),
		NotBefore: now.Add(-backdating), NotAfter: now.AddDate(domainYears, 0, 0), Names: names})
	if err != nil {
		return program.Usagef("--url, --san, --cn: %w", err)
	}
	if err := f.writeKeys(folder, caKey, key, own, authority.Certificate()); err != nil {
		return err
	}
	s := defaults("")
	s.url, s.admit = u.String(), f.admit
	host, err := ca.ParseServerNames(u.Hostname())
	if err != nil {
		return program.Usagef("--url: %w", err)
	}
	s.announce = !host.Loopback()
	if err := writeConfig(folder, s.table()); err != nil {
		return err
	}
	return makeState(folder, own, authority.Certificate(), first)
}

// commonName is the name of a domain's certificate, within what X.520 allows.
func commonName(domain, suffix string) string {
	const most = 64 // characters (RFC 5280 appendix A.1, ub-common-name)
	for utf8.RuneCountInString(domain)+len(suffix) > most {
		_, n := utf8.DecodeLastRuneInString(domain)
		domain = domain[:len(domain)-n]
	}
	return domain + suffix
}

func (f *initFlags) writeKeys(folder *material.Folder, caKey, key crypto.Signer, own, authority *x509.Certificate) error {
	for _, write := range []func() error{
		func() error { return folder.Key(fileCAKey, caKey) },
		func() error { return folder.Certificates(fileCA, authority) },
		func() error { return folder.Key(fileKey, key) },
		func() error { return folder.Certificates(fileCertificate, own, authority) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

func writeConfig(folder *material.Folder, table *config.Table) error {
	var text bytes.Buffer
	if err := table.Print(&text); err != nil {
		return err
	}
	return folder.Write(fileConfig, text.Bytes())
}

// makeState makes the database, with the first manufacturer in it.
func makeState(folder *material.Folder, own, authority *x509.Certificate, first *registrar.Manufacturer) error {
	db, err := state.Open(folder.Path(dirState), state.Options{Create: true})
	if err != nil || first == nil {
		return joined(err, db)
	}
	r := role{db: db}
	cfg := registrar.Config{DB: db, Clock: time.Now, Network: offline{}, Chain: []*x509.Certificate{own, authority}}
	if err := r.withoutKeys(&cfg, authority); err != nil {
		return joined(err, db)
	}
	service, err := registrar.New(cfg)
	if err != nil {
		return joined(err, db)
	}
	defer service.Close()
	return joined(addManufacturer(service, *first), db)
}

// joined closes the database and joins the errors.
func joined(err error, db *state.Badger) error {
	if db == nil {
		return err
	}
	return errors.Join(err, db.Close())
}
