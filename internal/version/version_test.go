package version

import (
	"strings"
	"testing"
)

func TestTheLinkerHasTheFirstWord(t *testing.T) {
	defer func(r, c string) { release, commit = r, c }(release, commit)
	release, commit = "v1.2.3", "4f2a"
	if got, want := Line("enforcer"), "enforcer v1.2.3 (revision 4f2a, go"; !strings.HasPrefix(got, want) {
		t.Errorf("%q does not begin with %q", got, want)
	}
	release, commit = "", ""
	if String() == "" || Revision() == "" {
		t.Errorf("version %q and revision %q of a build without, want words", String(), Revision())
	}
}
