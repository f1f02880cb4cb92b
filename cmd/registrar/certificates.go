package main

import (
	"encoding/pem"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func newCertificates(o *shared) *cobra.Command {
	cmd := &cobra.Command{Use: "certificates", Short: "See, revoke and list as revoked what was issued to devices"}
	cmd.AddCommand(&cobra.Command{Use: "list DEVICE", Short: "List the certificates of a device", Long: deviceNames, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return listCertificates(o, cmd, args[0]) }},
		newRevoke(o), newCRL(o))
	return cmd
}

func listCertificates(o *shared, cmd *cobra.Command, name string) error {
	return o.with(cmd, false, func(c *console) error {
		var d registrar.DeviceInfo
		if err := admin.Get(cmd.Context(), c.Client, query(apiDevice, name), &d); err != nil {
			return err
		}
		for i := range d.Certificates {
			info := &d.Certificates[i]
			if err := c.print(info, func() string { return oneLine(describeCertificate(info)) + "\n" }); err != nil {
				return err
			}
		}
		return nil
	})
}

func newRevoke(o *shared) *cobra.Command {
	in := revocation{Reason: "unspecified"}
	cmd := &cobra.Command{
		Use:   "revoke SERIAL",
		Short: "Revoke a certificate: it is renewed no more and on the next revocation list",
		Long: `SERIAL is the serial number of the certificate in hexadecimal, as 'registrar
certificates list' shows it. To keep the device out as well, refuse it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Serial = args[0]
			return o.with(cmd, false, func(c *console) error {
				if err := admin.Post(cmd.Context(), c.Client, apiRevoke, in, nil); err != nil {
					return err
				}
				return c.print(in, func() string { return fmt.Sprintf("certificate %s is revoked\n", oneLine(in.Serial)) })
			})
		},
	}
	cmd.Flags().StringVar(&in.Reason, "reason", in.Reason, "one of "+reasonNames())
	return cmd
}

func newCRL(o *shared) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "crl --out FILE",
		Short: "Write the revocation list, PEM",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd, true, func(c *console) error {
				var crl revocationList
				if err := admin.Get(cmd.Context(), c.Client, apiCRL, &crl); err != nil {
					return err
				}
				text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl.DER})
				if out == "-" {
					_, err := cmd.OutOrStdout().Write(text)
					return program.IOError(err)
				}
				return program.IOError(material.WriteNew(out, text, 0o644))
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to make, - for standard output")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	return cmd
}
