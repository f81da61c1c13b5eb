package exec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/wire"
)

func TestTheStartOfAnSSHConnectionIsChecked(t *testing.T) {
	good := keyHead + "abc\n"
	many := make([]string, maxKeys+1)
	for _, c := range []struct {
		field string
		start sshStart
	}{
		{"host_key", sshStart{HostKey: ""}},
		{"host_key", sshStart{HostKey: "-----BEGIN RSA PRIVATE KEY-----\n"}},
		{"host_key", sshStart{HostKey: good + strings.Repeat("a", maxHostKey)}},
		{"authorized_keys", sshStart{HostKey: good, AuthorizedKeys: many}},
		{"authorized_keys", sshStart{HostKey: good, AuthorizedKeys: []string{"ssh-ed25519 a\nssh-ed25519 b"}}},
		{"authorized_keys", sshStart{HostKey: good, AuthorizedKeys: []string{strings.Repeat("a", maxPublicKey+1)}}},
	} {
		if err := c.start.check(); err == nil || wire.AsError(err).Field != c.field {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	start := sshStart{HostKey: good, AuthorizedKeys: []string{"ssh-ed25519 AAAA me"}}
	if err := start.check(); err != nil {
		t.Error(err)
	}
}

func TestTheFilesOfSSHHaveTheirModesAndChangeOnlyWithTheirContent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ssh")
	start := sshStart{HostKey: keyHead, AuthorizedKeys: []string{"one", "two"}}
	put := func() map[string]os.FileInfo {
		if err := start.write([]string{dir}, "config"); err != nil {
			t.Fatal(err)
		}
		found := map[string]os.FileInfo{}
		for _, name := range []string{"host_key", "authorized_keys", "sshd_config"} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			found[name] = info
		}
		return found
	}
	first := put()
	for name, mode := range map[string]os.FileMode{"host_key": 0o600, "authorized_keys": 0o644, "sshd_config": 0o600} {
		if first[name].Mode().Perm() != mode {
			t.Errorf("%s: mode %v", name, first[name].Mode())
		}
	}
	if body, _ := os.ReadFile(filepath.Join(dir, "authorized_keys")); string(body) != "one\ntwo\n" {
		t.Errorf("got %q", body)
	}
	start.AuthorizedKeys = nil
	second := put()
	if !os.SameFile(first["host_key"], second["host_key"]) {
		t.Error("a file was written again without need")
	}
	if os.SameFile(first["authorized_keys"], second["authorized_keys"]) {
		t.Error("a key that was taken away may still log in")
	}
}

func TestSSHGetsTheEnvironmentOfExec(t *testing.T) {
	accounts := account.New(false, "")
	runner := NewRunner(accounts, nil, nil)
	if err := runner.SetEnvironment(map[string]string{"A": `one "two" \three`}); err != nil {
		t.Fatal(err)
	}
	config, err := runner.sshSettings()
	if err != nil {
		t.Fatal(err)
	}
	if want := `"A=one \"two\" \\three"`; strings.Count(config, want) < 2 {
		t.Errorf("no %s in %s", want, config)
	}
	for _, own := range []string{`"HOME=`, `"USER=`, `"SHELL=`, `"LOGNAME=`} {
		if strings.Contains(config, own) {
			t.Errorf("%s would replace what sshd sets", own)
		}
	}
}
