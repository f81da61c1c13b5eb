package initsystem

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOpenRCHasBootedWhenItsDefaultLevelIsReached(t *testing.T) {
	dir := t.TempDir()
	if openRCBooted(dir) {
		t.Fatal("booted before it began")
	}
	for _, step := range []struct {
		level    string
		starting bool
		booted   bool
	}{{"sysinit", false, false}, {"boot", true, false}, {"boot", false, false}, {"default", true, false}, {"default", false, true}} {
		put(t, filepath.Join(dir, "softlevel"), step.level+"\n")
		starting := filepath.Join(dir, "rc.starting")
		_ = os.Remove(starting)
		if step.starting {
			put(t, starting, "")
		}
		if openRCBooted(dir) != step.booted {
			t.Errorf("%+v", step)
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
