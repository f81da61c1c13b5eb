package boot

import (
	"testing"
)

func TestSplitMountFlags(t *testing.T) {
	flags, options := splitMountFlags("noatime,discard")
	if flags == 0 || options != "discard" {
		t.Fatalf("got %x %q", flags, options)
	}
}
