package conform

import (
	"regexp"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/docs"
)

// TestSections checks that every check names a section of PROTOCOL.md or RECIPES.md.
func TestSections(t *testing.T) {
	number := regexp.MustCompile(`§([0-9.]+)`)
	protocol, recipes := docs.Open(t, "../PROTOCOL.md"), docs.Open(t, "../RECIPES.md")
	for _, c := range table() {
		if strings.HasPrefix(c.spec, "OpenRPC") {
			continue // another specification
		}
		doc := protocol
		if c.spec[0] == 'R' {
			doc = recipes
		}
		found := number.FindAllStringSubmatch(c.spec, -1)
		if len(found) == 0 {
			t.Errorf("%s: %q names no section", c.name, c.spec)
		}
		for _, n := range found {
			doc.Section(n[1]) // fails the test if there is none
		}
	}
}
