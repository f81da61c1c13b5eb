package disk

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAPartitionIsFoundBelowItsDisk(t *testing.T) {
	root := t.TempDir()
	place := filepath.Join(root, "devices", "vda", "vda2")
	if err := os.MkdirAll(place, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(place, "partition"), []byte("2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(root, "254:2")
	if err := os.Symlink(place, link); err != nil {
		t.Fatal(err)
	}
	found, ok := findPartition(link)
	if want := (partition{"/dev/vda", "/dev/vda2", "2"}); !ok || found != want {
		t.Errorf("found %+v %v", found, ok)
	}
	if _, ok := findPartition(filepath.Dir(place)); ok {
		t.Error("took a whole disk for a partition")
	}
}
