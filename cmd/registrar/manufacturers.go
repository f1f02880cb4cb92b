package main

import (
	"encoding/hex"
	"fmt"
	"strings"

	"crypto/x509"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// makerFlags describe a manufacturer.
type makerFlags struct {
	idevidCA, intermediates []string
	masaURL                 string
	masaTrust, voucherTrust []string
	auditKeys               []string
	serialFrom, lifetime    string
}

func newManufacturers(o *shared) *cobra.Command {
	cmd := &cobra.Command{Use: "manufacturers", Short: "Add and list the manufacturers whose devices may come", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return listManufacturers(o, cmd) }}
	cmd.AddCommand(newManufacturersAdd(o), &cobra.Command{Use: "list", Short: "List the manufacturers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return listManufacturers(o, cmd) }})
	return cmd
}

func newManufacturersAdd(o *shared) *cobra.Command {
	var f makerFlags
	cmd := &cobra.Command{
		Use:   "add NAME --idevid-ca FILE",
		Short: "Add a manufacturer, or replace the one of the same name",
		Long: `Adds a manufacturer with all that is known of it, or replaces the one of the same
name. With --audit-key a device joins only after its MASA has proven what it shows
of the audit log, and a log that is smaller than before, or another one of the same
size, is refused with an alarm; this holds for audit: prefer as well, where the MASA
answers. While a MASA changes the key, give the old and the new one. A new log has a
new key: give that alone, and nothing is compared with the old log any more.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := f.manufacturer(args[0], "--idevid-ca")
			if err != nil {
				return err
			}
			if len(m.VoucherTrust) == 0 {
				program.Warn(cmd, "without --voucher-trust any signer of vouchers is believed that the voucher names; ask %s for its anchor", m.Name)
			}
			return o.with(cmd, false, func(c *console) error {
				sent := makerOf(m)
				if err := admin.Post(cmd.Context(), c.Client, apiManufacturers, sent, nil); err != nil {
					return err
				}
				return c.print(sent, func() string { return fmt.Sprintf("manufacturer %s is known now\n", plain(m.Name)) })
			})
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.idevidCA, "idevid-ca", nil, "CA that issued its IDevIDs, or who issued that; may be repeated")
	flags.StringArrayVar(&f.intermediates, "intermediate", nil, "issuers that its devices do not present; may be repeated")
	flags.StringVar(&f.masaURL, "masa-url", "", "its MASA, in place of what IDevIDs state: HOST, HOST:PORT or https URL")
	flags.StringArrayVar(&f.masaTrust, "masa-trust", nil, "what its MASA's TLS certificate must lead to (default: the system's anchors, and public addresses alone)")
	flags.StringArrayVar(&f.voucherTrust, "voucher-trust", nil, "what the signer of its vouchers must lead to")
	flags.StringArrayVar(&f.auditKeys, "audit-key", nil, auditKeyUsage)
	flags.StringVar(&f.serialFrom, "serial-from", "subject", "where its IDevIDs have the serial number: subject, hwSerialNum or cn")
	flags.StringVar(&f.lifetime, "idevid-lifetime", lifetimeCheck, "check or ignore: whether an IDevID that has expired is refused")
	cobra.CheckErr(cmd.MarkFlagRequired("idevid-ca"))
	return cmd
}

// manufacturer reads the files of the flags. caFlag is what errors call the
// IDevID CA's.
func (f *makerFlags) manufacturer(name, caFlag string) (*registrar.Manufacturer, error) {
	m := &registrar.Manufacturer{Name: name, MASAURL: f.masaURL}
	var err error
	if m.SerialFrom, err = parseSerialFrom(f.serialFrom); err != nil {
		return nil, err
	}
	switch f.lifetime {
	case lifetimeCheck:
	case lifetimeIgnore:
		m.IgnoreLifetime = true
	default:
		return nil, program.Usagef("--idevid-lifetime %.40q: want check or ignore", f.lifetime)
	}
	for _, part := range []struct {
		to    *[]*x509.Certificate
		flag  string
		files []string
	}{{&m.Anchors, caFlag, f.idevidCA}, {&m.Intermediates, "--intermediate", f.intermediates}, {&m.MASATrust, "--masa-trust", f.masaTrust}, {&m.VoucherTrust, "--voucher-trust", f.voucherTrust}} {
		if len(part.files) == 0 {
			continue
		}
		if *part.to, err = material.LoadCertificates(part.flag, part.files...); err != nil {
			return nil, err
		}
	}
	for _, file := range f.auditKeys {
		key, err := readAuditKey(file)
		if err != nil {
			return nil, err
		}
		m.AuditKeys = append(m.AuditKeys, key)
	}
	return m, nil
}

const auditKeyUsage = "file with the verifier key of its MASA's audit log, such as the audit.pub of 'masa init'; may be repeated"

// readAuditKey reads a verifier key, one line of text.
func readAuditKey(file string) (string, error) {
	const most = 4 << 10 // octets; a key has some hundred at most
	text, err := program.ReadFile(file, most)
	if err != nil {
		return "", fmt.Errorf("--audit-key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if _, err := audit.NewVerifier(key); err != nil {
		return "", program.Usagef("--audit-key %s: %w", file, err)
	}
	return key, nil
}

// auditLogs names the logs of verifier keys.
func auditLogs(keys []string) string {
	log, err := audit.NewVerifier(keys...)
	if err != nil {
		return ""
	}
	return log.Origin()
}

// parseSerialFrom takes the name that RFC 4108 has for it, too.
func parseSerialFrom(text string) (codec.SerialSource, error) {
	if strings.EqualFold(text, "hwSerialNum") {
		return codec.SerialFromHWModuleName, nil
	}
	source, err := codec.ParseSerialSource(text)
	if err != nil {
		return 0, program.Usagef("--serial-from %.40q: want subject, hwSerialNum or cn", text)
	}
	return source, nil
}

func listManufacturers(o *shared, cmd *cobra.Command) error {
	return o.with(cmd, false, func(c *console) error {
		return printList(c, apiManufacturers, "NAME\tIDEVID CA\tMASA\tMASA TRUST\tVOUCHER TRUST\tAUDIT LOG\tSERIAL FROM\tIDEVID LIFETIME", func(m maker) []string {
			masa := m.MASAURL
			if masa == "" {
				masa = "as IDevIDs state"
			}
			return []string{m.Name, certificateNames(m.IDevIDCA), masa, orElse(certificateNames(m.MASATrust), "the system's"),
				orElse(certificateNames(m.VoucherTrust), "any"), orElse(auditLogs(m.AuditKeys), "not proven"), m.SerialFrom, m.IDevIDLifetime}
		})
	})
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// certificateNames names certificates by subject and the head of their key
// identifier.
func certificateNames(list [][]byte) string {
	var names []string
	for _, der := range list {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			names = append(names, "unreadable")
			continue
		}
		name := c.Subject.CommonName
		if name == "" {
			name = c.Subject.String()
		}
		if len(c.SubjectKeyId) >= 4 {
			name += " (" + hex.EncodeToString(c.SubjectKeyId[:4]) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
