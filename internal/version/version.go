// Package version says which build of Sluice this is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is set by the linker: -ldflags "-X …/internal/version.release=v1.2.3".
var release string

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

// Line returns one line for --version: the program, its version and its Go.
func Line(program string) string {
	return fmt.Sprintf("%s %s (%s, %s/%s)", program, String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
