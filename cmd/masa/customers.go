package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/engine/ca"
)

func newCustomers() *cobra.Command {
	return group("customers", "Look after those who buy devices and run domains", newCustomersAdd(), newCustomersList(), newCustomersBlock(), newCustomersUnblock())
}

func newCustomersAdd() *cobra.Command {
	var anchors, clientCerts []string
	in := customerJSON{}
	cmd := &cobra.Command{
		Use:   "add NAME --ca FILE [--client-cert FILE] [--nonceless] [--max-lifetime D]",
		Short: "Add a customer",
		Args:  cobra.ExactArgs(1),
		RunE: ask(func(c *call, args []string) error {
			in.Name = args[0]
			certs, err := material.LoadCertificates("--ca", anchors...)
			if err != nil {
				return err
			}
			in.Anchors = string(ca.ChainPEM(certs...))
			if len(clientCerts) > 0 {
				if certs, err = material.LoadCertificates("--client-cert", clientCerts...); err != nil {
					return err
				}
				in.ClientCerts = string(ca.ChainPEM(certs...))
			}
			if err := admin.Post(c.ctx, c.client, "/customers", in, nil); err != nil {
				return err
			}
			return c.print(in, func(w io.Writer) { fmt.Fprintf(w, "added customer %s\n", in.Name) })
		}),
	}
	f := cmd.Flags()
	f.StringArrayVar(&anchors, "ca", nil, "authority of its registrars' certificates, PEM; may be repeated")
	f.StringArrayVar(&clientCerts, "client-cert", nil, "its TLS client certificate, or who issued that, PEM; may be repeated")
	f.BoolVar(&in.Nonceless, "nonceless", false, "allow it vouchers without nonce")
	f.StringVar(&in.MaxLifetime, "max-lifetime", "", "longest life of those, as 90d (default: as configured)")
	cobra.CheckErr(cmd.MarkFlagRequired("ca"))
	return cmd
}

func newCustomersList() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the customers", Args: cobra.NoArgs, RunE: ask(func(c *call, _ []string) error {
		return show(c, "/customers", "NAME\tADDED\tNONCELESS\tMAX LIFETIME\tCLIENT CERTIFICATE\tSTATE", func(w io.Writer, cu customerJSON) {
			state := "open"
			if cu.Blocked {
				state = "blocked: " + cu.BlockReason
			}
			added := "-"
			if cu.Created != nil {
				added = showTime(*cu.Created)
			}
			fmt.Fprintf(w, "%s\t%s\t%v\t%s\t%v\t%s\n", cu.Name, added, cu.Nonceless, or(cu.MaxLifetime, "-"), cu.ClientCerts != "", state)
		})
	})}
}

func newCustomersBlock() *cobra.Command {
	var reason string
	cmd := &cobra.Command{Use: "block NAME --reason TEXT", Short: "Refuse every further request of a customer", Args: cobra.ExactArgs(1), RunE: ask(func(c *call, args []string) error {
		return c.customer("/customers/block", "blocked", blockJSON{args[0], reason})
	})}
	cmd.Flags().StringVar(&reason, "reason", "blocked by the operator", "why, for the record")
	return cmd
}

func newCustomersUnblock() *cobra.Command {
	return &cobra.Command{Use: "unblock NAME", Short: "Undo block", Args: cobra.ExactArgs(1), RunE: ask(func(c *call, args []string) error {
		return c.customer("/customers/unblock", "unblocked", blockJSON{Name: args[0]})
	})}
}

func (c *call) customer(path, did string, in blockJSON) error {
	if err := admin.Post(c.ctx, c.client, path, in, nil); err != nil {
		return err
	}
	return c.print(in, func(w io.Writer) { fmt.Fprintf(w, "%s customer %s\n", did, in.Name) })
}
