package cpu512

import (
	"os"
	"strings"
)

// Variable is the name of the environment variable that overrides the choice.
const Variable = "VOUCHMILL_WIDE"

// A Choice is a decision and its reason.
type Choice struct {
	Use    bool   // the vector code runs
	Reason string // for people: features found or missing, or the override
}

// A Feature is one thing the vector code needs, and whether it is there.
type Feature struct {
	Name string
	Has  bool
}

// Decide chooses the vector code when every feature is present and the
// environment does not forbid it.
func Decide(features []Feature) Choice { return decide(features, os.Getenv(Variable)) }

func decide(features []Feature, override string) Choice {
	if len(features) == 0 {
		return Choice{false, "no vector code for this architecture"}
	}
	var missing, all []string
	for _, f := range features {
		all = append(all, f.Name)
		if !f.Has {
			missing = append(missing, f.Name)
		}
	}
	switch {
	case len(missing) > 0 && override == "on":
		return Choice{false, Variable + "=on, but the processor or the operating system lacks " + strings.Join(missing, ", ")}
	case len(missing) > 0:
		return Choice{false, "the processor or the operating system lacks " + strings.Join(missing, ", ")}
	case override == "off":
		return Choice{false, Variable + "=off"}
	}
	return Choice{true, "the processor has " + strings.Join(all, ", ")}
}
