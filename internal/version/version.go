// Package version says which build of Sluice this is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// The linker sets these: -ldflags "-X …/internal/version.release=v1.2.3".
var release, commit string

// String returns the release, or for a build without one the version that the
// Go module system knows, or "devel".
func String() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Revision returns the commit that this program was built from: what the linker
// was told, else what the go command found, else "unknown". An image cannot know
// its own digest: the status of its pod has it, as imageID.
func Revision() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// Line returns one line for --version: the program, its version, the commit and
// its Go.
func Line(program string) string {
	return fmt.Sprintf("%s %s (revision %s, %s, %s/%s)", program, String(), Revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
