package mounts

import (
	"testing"
)

func TestTopMount(t *testing.T) {
	table := "1 0 8:1 / / rw - ext4 /dev/vda rw\n2 1 0:30 / /home/a\\040b rw,relatime shared:1 - 9p proj rw\n"
	if source, kind := topMount(table, "/home/a b"); source != "proj" || kind != "9p" {
		t.Fatalf("got %q %q", source, kind)
	}
	if source, _ := topMount(table, "/home"); source != "" {
		t.Fatalf("got %q", source)
	}
}
