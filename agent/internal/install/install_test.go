package install

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTheProgramIsReplacedWithItsDigestBesideIt(t *testing.T) {
	source, target := filepath.Join(t.TempDir(), "new"), filepath.Join(t.TempDir(), "bin", "gaovm-agent")
	for _, body := range []string{"old program", "new program"} {
		if err := os.WriteFile(source, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := copyProgram(source, target); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(body))
		if got := strings.TrimSpace(read(t, digestOf(target))); got != hex.EncodeToString(sum[:]) {
			t.Errorf("the digest of %q is %s", body, got)
		}
		if got := read(t, target); got != body {
			t.Errorf("got %q, not %q", got, body)
		}
	}
	info, err := os.Stat(target)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(target)); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSystemdStartsTheProgramAtEachBoot(t *testing.T) {
	root := t.TempDir()
	for range 2 { // again: the links are there
		if err := installSystemd(root, "/x/agent"); err != nil {
			t.Fatal(err)
		}
	}
	wanted := filepath.Join(root, "etc/systemd/system/sysinit.target.wants", unitName)
	if text := read(t, wanted); !strings.Contains(text, "\nExecStart=/x/agent service\n") {
		t.Errorf("the unit is %q", text)
	}
}

func TestOpenRCStartsTheProgramAtEachBoot(t *testing.T) {
	root := t.TempDir()
	for range 2 {
		if err := installOpenRC(root, "/x/agent"); err != nil {
			t.Fatal(err)
		}
	}
	if text := read(t, filepath.Join(root, "etc/init.d/gaovm-agent")); !strings.Contains(text, "\ncommand=/x/agent\n") {
		t.Errorf("the script is %q", text)
	}
	link, err := os.Readlink(filepath.Join(root, "etc/runlevels/boot/gaovm-agent"))
	if err != nil || link != "/etc/init.d/gaovm-agent" {
		t.Errorf("the run level has %q %v", link, err)
	}
}

func TestTheInitSystemIsFoundByItsFiles(t *testing.T) {
	root := t.TempDir()
	for _, manager := range managers {
		if manager.present(root) {
			t.Error("found one in an empty root")
		}
	}
	for i, path := range []string{"run/systemd/system", "sbin/openrc-run"} {
		if err := os.MkdirAll(filepath.Join(root, path), 0o755); err != nil {
			t.Fatal(err)
		}
		if !managers[i].present(root) {
			t.Errorf("did not find the one of %s", path)
		}
	}
}
