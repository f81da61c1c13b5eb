package account

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"gaovm/agent/internal/sys"
)

func TestASessionNamesTheUsersOwnRuntimeDirectoryOnly(t *testing.T) {
	root := t.TempDir()
	me := &Account{UID: uint32(os.Geteuid())}
	path := runtimeDir(root, me.UID)
	if env := sessionEnvironment(root, me); len(env) != 0 {
		t.Fatalf("%v without a directory", env)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if env := sessionEnvironment(root, me); len(env) != 1 || env["XDG_RUNTIME_DIR"] != path {
		t.Fatalf("%v", env)
	}
	listener, err := net.Listen("unix", filepath.Join(path, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if env := sessionEnvironment(root, me); env["DBUS_SESSION_BUS_ADDRESS"] != "unix:path="+path+"/bus" {
		t.Fatalf("%v with a bus", env)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if env := sessionEnvironment(root, me); len(env) != 0 {
		t.Fatalf("%v: others may enter it", env)
	}
	other := &Account{UID: me.UID + 1}
	if err := os.Rename(path, runtimeDir(root, other.UID)); err != nil {
		t.Fatal(err)
	}
	if env := sessionEnvironment(root, other); len(env) != 0 {
		t.Fatalf("%v: somebody else's", env)
	}
}

func TestLingeringIsWrittenOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "linger")
	for range 2 {
		if err := linger(dir, "dev"); err != nil || !sys.Exists(filepath.Join(dir, "dev")) {
			t.Fatal(err)
		}
	}
}

func TestSystemAccountsAreNoPlainUsers(t *testing.T) {
	for uid, plain := range map[uint32]bool{0: false, 33: false, 1000: true, 65533: true, nobodyID: false} {
		if plainUser(uid) != plain {
			t.Error(uid)
		}
	}
}
