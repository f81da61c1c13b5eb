package disk

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyAShortPartitionGrows(t *testing.T) {
	blocks := t.TempDir()
	for path, text := range map[string]string{
		"vdb/size": "131072\n", "vdb1/start": "2048\n", "vdb1/size": "129024\n",
		"vdc/size": "262144\n", "vdc1/start": "2048\n", "vdc1/size": "129024\n",
		"vdd/size": "262144\n",
	} {
		path = filepath.Join(blocks, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"vdb": false, "vdc": true, "vdd": false} {
		if got := canGrow(blocks, name, name+"1"); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := growPartition(blocks, "/dev/vdd"); err != nil {
		t.Error("a whole disk has no partition to grow:", err)
	}
}
