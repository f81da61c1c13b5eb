package sys

import "strings"

const (
	markerBegin = "# >>> gaovm >>>"
	markerEnd   = "# <<< gaovm <<<"
)

// SplitLines returns the lines of a text, none for an empty one.
func SplitLines(body string) []string {
	if body == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(body, "\n"), "\n")
}

// MarkedSection replaces the lines between the marker lines and keeps all others. No lines take the
// markers away.
func MarkedSection(old string, lines []string) string {
	var kept []string
	inside := false
	for _, line := range strings.Split(strings.TrimSuffix(old, "\n"), "\n") {
		switch {
		case line == markerBegin:
			inside = true
		case line == markerEnd:
			inside = false
		case !inside && (old != "" || line != ""):
			kept = append(kept, line)
		}
	}
	if len(lines) > 0 {
		kept = append(append(append(kept, markerBegin), lines...), markerEnd)
	}
	if len(kept) == 0 {
		return ""
	}
	return strings.Join(kept, "\n") + "\n"
}
