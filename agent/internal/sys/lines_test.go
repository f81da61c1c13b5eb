package sys

import "testing"

func TestMarkedSection(t *testing.T) {
	once := MarkedSection("A=1\n", []string{`B="2"`})
	if once != "A=1\n"+markerBegin+"\nB=\"2\"\n"+markerEnd+"\n" {
		t.Fatalf("got %q", once)
	}
	if again := MarkedSection(once, nil); again != "A=1\n" {
		t.Fatalf("got %q", again)
	}
	if MarkedSection("", nil) != "" {
		t.Error("made something of nothing")
	}
}
