package seed

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheSerialNumberFindsTheDisk(t *testing.T) {
	class := t.TempDir()
	for name, serial := range map[string]string{"vda": "root", "vdb": Serial, "vdc": ""} {
		if err := os.MkdirAll(filepath.Join(class, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(class, name, "serial"), []byte(serial), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := find(class); got != "/dev/vdb" {
		t.Errorf("found %q", got)
	}
	if got := find(filepath.Join(class, "vda")); got != "" {
		t.Errorf("found %q where there is none", got)
	}
}

func TestSettings(t *testing.T) {
	got := parse("AGENT_SHA256=ab\nWATCHDOG_S=30\nDEBUG=1\nother\n")
	if got != (Settings{Digest: "ab", Watchdog: 30 * time.Second, Debug: true}) {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"", "0", "-1", "3601", "1h"} {
		if got := parse("WATCHDOG_S=" + bad); got.Watchdog != 0 {
			t.Errorf("took %q for a timeout", bad)
		}
	}
}
