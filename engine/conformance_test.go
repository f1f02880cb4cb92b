package engine

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The README says which test holds each requirement; the tests it names exist.
func TestTheConformanceTableNamesTestsThatExist(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, ok := strings.Cut(string(readme), "\n## Conformance\n")
	if !ok {
		t.Fatal("the README has no chapter on conformance")
	}
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	there := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, f := range function.FindAllSubmatch(source, -1) {
			there[string(f[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`").FindAllStringSubmatch(chapter, -1)
	if len(named) < 100 {
		t.Fatalf("%d tests are named", len(named))
	}
	for _, n := range named {
		if !there[n[1]] {
			t.Errorf("%s is named and does not exist", n[1])
		}
	}
}
