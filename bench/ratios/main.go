package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	rounds := flag.Int("rounds", 5, "how often everything is measured")
	time := flag.String("time", "300ms", "least time of one benchmark in a round, as go test -benchtime")
	only := flag.String("only", "", "rows whose text matches this regular expression")
	flag.Parse()
	if err := run(os.Stdout, *rounds, *time, *only); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, rounds int, time, only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if rounds < 1 {
		return errors.New("-rounds: at least 1")
	}
	rows := slices.DeleteFunc(table(), func(r row) bool { return !match.MatchString(r.text) })
	if len(rows) == 0 {
		return fmt.Errorf("-only: no row matches %q", only)
	}
	dir, err := os.MkdirTemp("", "ratios")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	suites, err := build(dir)
	if err != nil {
		return err
	}
	for i := range rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", i+1, rounds)
		for _, name := range slices.Sorted(maps.Keys(suites)) {
			s := suites[name]
			results, err := s.measure(pattern(name, rows), time)
			if err != nil {
				return err
			}
			for r := range rows {
				rows[r].take(name, results)
			}
		}
		for r := range rows {
			if err := rows[r].endRound(); err != nil {
				return err
			}
		}
	}
	return print(out, rows, rounds)
}

// A measurer measures what alternatives separated by | name.
type measurer interface {
	measure(names, time string) (results, error)
}

// A suite is a test binary with how it is run.
type suite struct {
	binary string
	dir    string
	env    []string
	args   []string
}

// build compiles the benchmarks, so that rounds run nothing else.
func build(dir string) (map[string]measurer, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m %s: %w; run this within the module", module, err)
	}
	root := strings.TrimSpace(string(out))
	own, peers := filepath.Join(root, "bench"), filepath.Join(root, "bench", "peers")
	ours := suite{binary: filepath.Join(dir, "bench"), dir: own}
	portable := suite{binary: ours.binary, dir: own, env: []string{"VOUCHMILL_SIGN_IMPL=portable"}}
	others := suite{binary: filepath.Join(dir, "peers"), dir: peers, args: []string{"-test.cpu=1"}}
	for _, s := range []suite{ours, others} {
		compile := exec.Command("go", "test", "-c", "-o", s.binary, ".")
		compile.Dir, compile.Stderr = s.dir, os.Stderr
		if err := compile.Run(); err != nil {
			return nil, fmt.Errorf("go test -c in %s: %w", compile.Dir, err)
		}
	}
	return map[string]measurer{"bench": ours, "portable": portable, "peers": others, "openssl": openssl{}}, nil
}

// pattern matches the benchmarks of a suite that the rows need.
func pattern(suite string, rows []row) string {
	var tops []string
	for _, r := range rows {
		for _, v := range []value{r.over, r.under} {
			if v.suite == suite && !slices.Contains(tops, v.name) {
				tops = append(tops, v.name)
			}
		}
	}
	return strings.Join(tops, "|")
}

// results holds values by benchmark and unit.
type results map[string]map[string]float64

// measure runs the benchmarks named by alternatives, one process each, in turn.
func (s suite) measure(names, time string) (results, error) {
	found := make(results)
	for _, name := range strings.Split(names, "|") {
		if name == "" {
			continue
		}
		args := append([]string{"-test.run=^$", "-test.bench=^Benchmark" + strings.ReplaceAll(name, "/", "$/^") + "$", "-test.benchtime=" + time}, s.args...)
		cmd := exec.Command(s.binary, args...)
		cmd.Dir, cmd.Env, cmd.Stderr = s.dir, append(os.Environ(), s.env...), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w\n%s", s.binary, name, err, bytes.TrimSpace(out))
		}
		for line := range strings.Lines(string(out)) {
			parse(line, found)
		}
	}
	return found, nil
}

var processors = regexp.MustCompile(`-\d+$`)

// parse takes a line of benchmark output: name, iterations, then values each
// followed by its unit.
func parse(line string, into results) {
	f := strings.Fields(line)
	if len(f) < 4 || len(f)%2 != 0 || !strings.HasPrefix(f[0], "Benchmark") {
		return
	}
	name := processors.ReplaceAllString(strings.TrimPrefix(f[0], "Benchmark"), "")
	into[name] = make(map[string]float64)
	for i := 2; i < len(f); i += 2 {
		if v, err := strconv.ParseFloat(f[i], 64); err == nil {
			into[name][f[i+1]] = v
		}
	}
}

// print writes the table.
func print(w io.Writer, rows []row, rounds int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| what | ratio | lowest to highest of %d rounds | aim |\n| --- | ---: | ---: | ---: |\n", rounds)
	for _, r := range rows {
		slices.Sort(r.ratios)
		if len(r.ratios) == 0 {
			fmt.Fprintf(&b, "| %s | not on this machine | | %s |\n", r.text, r.aim)
			continue
		}
		fmt.Fprintf(&b, "| %s | %.2f | %.2f to %.2f | %s |\n", r.text, r.ratios[len(r.ratios)/2], r.ratios[0], r.ratios[len(r.ratios)-1], r.aim)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
