package network

import (
	"os"
	"strings"
	"testing"
)

func TestHostsBody(t *testing.T) {
	first := hostsBody("127.0.0.1 localhost\n127.0.1.1 old\n", "box")
	if first != "127.0.0.1 localhost\n127.0.1.1\tbox\n" || hostsBody(first, "box") != first {
		t.Fatalf("got %q", first)
	}
	if got := hostsBody("", "box"); !strings.Contains(got, "127.0.0.1\tlocalhost") || !strings.Contains(got, "127.0.1.1\tbox") {
		t.Fatalf("got %q", got)
	}
}

func TestHostsStandBetweenMarkersAndGoAgain(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	const before = "127.0.0.1\tlocalhost\n"
	if err := os.WriteFile(root+hostsFile, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := SetHosts(root, map[string]string{"host.lima.internal": "10.0.2.2"}); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := os.ReadFile(root + hostsFile)
	if strings.Count(string(got), "10.0.2.2\thost.lima.internal\n") != 1 {
		t.Fatalf("%q", got)
	}
	if err := SetHosts(root, map[string]string{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(root + hostsFile); string(got) != before {
		t.Fatalf("%q", got)
	}
}
