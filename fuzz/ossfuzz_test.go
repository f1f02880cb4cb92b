package fuzz

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// textLines returns the lines of a file that are neither empty nor comments.
func textLines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer func() { must(t, f.Close()) }()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// targets are the names of the fuzz targets here, as the sources have them.
func targets(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	must(t, err)
	var names []string
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		must(t, err)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				names = append(names, f.Name.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestOSSFuzzBuildsEveryTarget(t *testing.T) {
	var listed []string
	for _, line := range textLines(t, "oss-fuzz/targets.txt") {
		fields := strings.Fields(line)
		listed = append(listed, fields[0])
		if dict := fields[1]; dict != "-" {
			if _, err := os.Stat("oss-fuzz/" + dict + ".dict"); err != nil {
				t.Error(err)
			}
		}
		for _, folder := range fields[2:] {
			if _, err := os.Stat(filepath.Join(kitFolder, folder)); err != nil {
				t.Error(err)
			}
		}
	}
	slices.Sort(listed)
	same(t, "the list of targets", listed, targets(t))
}

// A libFuzzer dictionary has one string a line, in quotes, with \\, \" and \xAB
// as its escapes.
func TestDictionariesAreWellFormed(t *testing.T) {
	entry := regexp.MustCompile(`^"(?:[^"\\[:cntrl:]]|\\\\|\\"|\\x[0-9a-f]{2})+"$`)
	paths, err := filepath.Glob("oss-fuzz/*.dict")
	must(t, err)
	if len(paths) < 4 {
		t.Errorf("dictionaries are missing: %v", paths)
	}
	for _, path := range paths {
		seen := map[string]bool{}
		for _, line := range textLines(t, path) {
			if !entry.MatchString(line) || seen[line] {
				t.Errorf("%s: %s is malformed or there twice", path, line)
			}
			seen[line] = true
		}
	}
}
