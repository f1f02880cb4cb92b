package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/pledge"
)

// A result is what --json prints.
type result struct {
	// Outcome is joined, already-joined, renewed, reset, refused, undecided or
	// nothing-reached.
	Outcome      string    `json:"outcome"`
	SerialNumber string    `json:"serial-number,omitempty"`
	Registrar    string    `json:"registrar,omitempty"`
	Assertion    string    `json:"assertion,omitempty"`
	Subject      string    `json:"subject,omitempty"`
	ValidUntil   string    `json:"valid-until,omitempty"`
	State        string    `json:"state,omitempty"`
	Error        string    `json:"error,omitempty"`
	Attempts     []attempt `json:"attempts,omitempty"`
}

type attempt struct {
	Registrar string           `json:"registrar"`
	Pending   bool             `json:"pending,omitempty"`
	Error     string           `json:"error,omitempty"`
	Checks    []decision.Check `json:"checks"`
}

func attemptOf(a *pledge.Attempt) attempt {
	out := attempt{Registrar: a.Registrar, Pending: a.Pending, Checks: a.Checks}
	if a.Err != nil {
		out.Error = a.Err.Error()
	}
	return out
}

func joinedResult(outcome, state string, j *pledge.Joined) result {
	leaf := j.LDevID.Chain[0]
	return result{Outcome: outcome, SerialNumber: j.SerialNumber, Registrar: j.Registrar, Assertion: j.Assertion,
		Subject: leaf.Subject.String(), ValidUntil: leaf.NotAfter.UTC().Format(time.RFC3339), State: state}
}

// reportJoined prints what a device has.
func reportJoined(cmd *cobra.Command, asJSON bool, state string, j *pledge.Joined) error {
	if j.Already {
		r := joinedResult("already-joined", state, j)
		return printResult(cmd, asJSON, r, "%s joined the domain of %s before; nothing was done ('pledge reset' takes it back to factory state)\n", r.SerialNumber, r.Registrar)
	}
	r := joinedResult("joined", state, j)
	if j.Attempt != nil {
		r.Attempts = []attempt{attemptOf(j.Attempt)}
	}
	return printResult(cmd, asJSON, r, "%s joined the domain of %s: voucher (%s), certificate until %s, all in %s\n", r.SerialNumber, r.Registrar, r.Assertion, r.ValidUntil, state)
}

// reportFailed prints the attempts that came to nothing: the checks of each, in
// their order.
func reportFailed(cmd *cobra.Command, asJSON bool, serial string, failed *pledge.JoinError) error {
	if asJSON {
		r := result{Outcome: string(failed.Outcome()), SerialNumber: serial, Error: failed.Error()}
		for _, a := range failed.Attempts {
			r.Attempts = append(r.Attempts, attemptOf(a))
		}
		return printResult(cmd, true, r, "")
	}
	for _, a := range failed.Attempts {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s:\n", a.Registrar)
		printChecks(cmd, a.Checks)
	}
	return nil
}

func printChecks(cmd *cobra.Command, checks []decision.Check) {
	for _, c := range checks {
		verdict := "ok  "
		if !c.OK {
			verdict = "FAIL"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "  %s %s %s\n", verdict, c.Name, printable(c.Detail))
	}
}

// printable makes text that others had a part in fit for a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

// printResult prints r as JSON, or the text.
func printResult(cmd *cobra.Command, asJSON bool, r result, format string, args ...any) error {
	out := cmd.OutOrStdout()
	if !asJSON {
		_, err := fmt.Fprintf(out, format, args...)
		return program.IOError(err)
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return program.IOError(encoder.Encode(r))
}
