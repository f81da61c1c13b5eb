package kernel

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParseModuleList(t *testing.T) {
	got := parseModuleList("boot /modules/a.ko\nlate /modules/b.ko\n\nelse /x\nwatchdog /modules/c.ko\nboot\n")
	if len(got) != 3 || got[2] != (moduleEntry{"watchdog", "modules/c.ko"}) || got[0] != (moduleEntry{"boot", "modules/a.ko"}) || got[1] != (moduleEntry{"late", "modules/b.ko"}) {
		t.Fatalf("got %v", got)
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "modules.list"), []byte("boot /a.ko\n9p /b.ko\nnetwork /c.ko\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if fd := int(dir.Fd()); !ListsPhase(fd, PhaseNetwork) || ListsPhase(fd, PhaseLate) {
		t.Error("the phases of a list are not those that it has")
	}
}
