package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func newExplain(o *shared) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [DEVICE]",
		Short: "Show every check of a device's last attempts, in order, and what would help",
		Long: `Shows the last attempts of a device: every check in the order it was made, the one
that stopped it, and the command that would let it go on.

` + deviceNames + `
Without DEVICE it shows attempts by clients that could not be identified.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return explainDevice(o, cmd, name)
		},
	}
}

func explainDevice(o *shared, cmd *cobra.Command, name string) error {
	return o.with(cmd, false, func(c *console) error {
		var x registrar.Explanation
		if err := admin.Get(cmd.Context(), c.Client, query(apiExplain, name), &x); err != nil {
			return err
		}
		return c.print(&x, func() string { return o.explanation(&x) })
	})
}

// explanation is an Explanation for people.
func (o *shared) explanation(x *registrar.Explanation) string {
	var b strings.Builder
	if x.Device != nil {
		fmt.Fprintf(&b, "device %s", plain(x.Device.Device))
		for _, fact := range []struct{ name, value string }{{"manufacturer", x.Device.Manufacturer}, {"standing", standing(x.Device)}, {"audit log", string(x.Device.Verdict)}} {
			if fact.value != "" {
				fmt.Fprintf(&b, ", %s %s", fact.name, oneLine(fact.value))
			}
		}
		b.WriteByte('\n')
	}
	if len(x.Attempts)+len(x.Unidentified) == 0 {
		b.WriteString("no attempts are on record\n")
	}
	for i := range x.Attempts {
		o.attempt(&b, &x.Attempts[i], "")
	}
	for i := range x.Unidentified {
		o.attempt(&b, &x.Unidentified[i], "unidentified: ")
	}
	return b.String()
}

// attempt writes one attempt, its checks a line each.
func (o *shared) attempt(b *strings.Builder, a *registrar.Attempt, who string) {
	outcome := "done"
	if a.Outcome != "" {
		outcome = string(a.Outcome)
	}
	fmt.Fprintf(b, "\n%s %s%s: %s\n", clock(&a.At), who, oneLine(a.Operation), oneLine(outcome))
	for _, fact := range []struct{ name, value string }{{"from", a.Remote}, {"subject", a.Subject}, {"request", a.Request}} {
		if fact.value != "" {
			fmt.Fprintf(b, "  %s %s\n", fact.name, oneLine(fact.value))
		}
	}
	for _, check := range a.Checks {
		mark := "ok  "
		if !check.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(b, "  %s %s", mark, oneLine(check.Name))
		if check.Detail != "" {
			fmt.Fprintf(b, ": %s", oneLine(check.Detail))
		}
		b.WriteByte('\n')
	}
	if a.Reason != "" && !stated(a) {
		fmt.Fprintf(b, "  because %s\n", oneLine(a.Reason))
	}
	if a.Remedy != "" {
		fmt.Fprintf(b, "  remedy: %s\n", oneLine(o.command(a.Remedy)))
	}
}

// stated reports whether the last check says the reason already.
func stated(a *registrar.Attempt) bool {
	n := len(a.Checks)
	return n > 0 && !a.Checks[n-1].OK && strings.HasPrefix(a.Reason, strings.TrimSuffix(a.Checks[n-1].Detail, "..."))
}

// command completes a command that would help with the configuration meant.
func (o *shared) command(text string) string {
	if o.config == defaultConfig {
		return text
	}
	return text + " --config " + shellWord(o.config)
}

// shellWord quotes text for a POSIX shell where that is needed.
func shellWord(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/-_.:,@%+=", r))
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
