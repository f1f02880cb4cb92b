package sign

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// implChild makes the test binary print what it chose and end.
const implChild = "SIGN_TEST_IMPL_CHILD"

// The variable is read once per process, so each case is a process.
func TestEnvironmentChoosesTheImplementation(t *testing.T) {
	if os.Getenv(implChild) != "" {
		for _, alg := range []*Algorithm{ES256, ES384} {
			impl, err := chooseImplementation("", alg, newTestKey(t, alg))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%v=%s.", alg, impl.name)
		}
		return
	}
	best := Implementations(ES256, newTestKey(t, ES256))[0]
	for env, want := range map[string][]string{
		"":          {"ES256=" + best + ".", "ES384=std."},
		"std":       {"ES256=std.", "ES384=std."},
		"portable":  {"ES256=portable.", "ES384=std."},
		"imaginary": {ImplEnv + "=imaginary", "known are"},
	} {
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestEnvironmentChoosesTheImplementation$")
		cmd.Env = append(os.Environ(), implChild+"=1", ImplEnv+"="+env)
		out, err := cmd.CombinedOutput()
		if (err != nil) != (env == "imaginary") {
			t.Errorf("%q: %v\n%s", env, err, out)
		}
		for _, text := range want {
			if !strings.Contains(string(out), text) {
				t.Errorf("%q: no %q in\n%s", env, text, out)
			}
		}
	}
}
