package exec

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/wire"
)

func me(home string) *account.Account {
	return &account.Account{Name: "me", UID: uint32(os.Getuid()), Home: home, Shell: "/bin/sh"}
}

func TestArgumentsAreChecked(t *testing.T) {
	for field, bad := range map[string]execStart{
		"argv": {Argv: []string{"a\x00b"}},
		"cwd":  {Argv: []string{"a"}, Cwd: "relative"},
		"term": {Argv: []string{"a"}, Term: "x\x00"},
		"env":  {Argv: []string{"a"}, Env: map[string]string{"A=B": "c"}},
	} {
		var refused *wire.Error
		if err := checkExec(&bad); !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	good := execStart{Argv: []string{"a", ""}, Cwd: "/", Env: map[string]string{"A": "b=c"}}
	if err := checkExec(&good); err != nil {
		t.Error(err)
	}
}

func TestTheDirectoryIsTheWantedOneElseTheHomeElseTheRoot(t *testing.T) {
	home := t.TempDir()
	for _, c := range []struct {
		req  execStart
		home string
		want string
	}{
		{execStart{Cwd: "/usr"}, home, "/usr"},
		{execStart{}, home, home},
		{execStart{Cwd: "/no/such", CwdHomeOK: true}, home, home},
		{execStart{}, "/no/such", "/"},
	} {
		if got, err := chooseCwd(&c.req, me(c.home)); err != nil || got != c.want {
			t.Errorf("%+v: got %q %v", c, got, err)
		}
	}
	_, err := chooseCwd(&execStart{Cwd: "/no/such"}, me(home))
	if wire.AsError(err).Code != wire.CodeBadCwd {
		t.Errorf("got %v", err)
	}
}

func TestANameIsLookedUpInAbsoluteDirectoriesOnly(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, path := range []string{filepath.Join(first, "tool"), filepath.Join(second, "tool")} {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(first, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := "relative::" + first + ":" + second
	if got := searchPath("tool", path); !slices.Equal(got, []string{first + "/tool", second + "/tool"}) {
		t.Errorf("got %v", got)
	}
	if got := searchPath("dir", path); len(got) != 0 {
		t.Errorf("a directory is a program: %v", got)
	}
	if got := searchPath("./tool", path); !slices.Equal(got, []string{"./tool"}) {
		t.Errorf("got %v", got)
	}
}

func TestTheShellRunsALogin(t *testing.T) {
	runner := NewRunner(account.New(false, ""), cgroups.New(-1), new(process.Table))
	for _, c := range []struct {
		req  execStart
		argv []string
	}{
		{execStart{Argv: []string{"x", "y z"}, Login: true}, []string{"-lc", `exec "$@"`, "x", "y z"}},
		{execStart{}, nil},
	} {
		plan, err := runner.plan(&c.req)
		if err != nil {
			t.Fatal(err)
		}
		shell := plan.candidates[0]
		want := []string{"-" + filepath.Base(shell)}
		if c.argv != nil {
			want = slices.Concat([]string{shell}, c.argv[:2], []string{shell}, c.argv[2:])
		}
		if !slices.Equal(plan.argv, want) {
			t.Errorf("got %q, not %q", plan.argv, want)
		}
	}
}

func TestLaterVariablesReplaceEarlierOnes(t *testing.T) {
	configured, started := map[string]string{"A": "1", "LANG": "C"}, map[string]string{"A": "2"}
	env := buildEnvironment(me("/h"), "xterm", configured, started)
	for name, want := range map[string]string{"A": "2", "LANG": "C", "HOME": "/h", "TERM": "xterm"} {
		if env[name] != want {
			t.Errorf("%s is %q", name, env[name])
		}
	}
	root := buildEnvironment(&account.Account{Name: "root", Home: "/root", Shell: "/bin/sh"}, "")
	if _, has := root["TERM"]; has || root["PATH"] != process.RootPath {
		t.Errorf("got %v", root)
	}
}

func TestWhatTheEnvironmentFileCannotHoldIsRefused(t *testing.T) {
	for _, bad := range []map[string]string{{"1A": "x"}, {"A-B": "x"}, {"A": "x\ny"}, {"": "x"}} {
		if CheckConfigured("env", bad) == nil {
			t.Errorf("accepted %v", bad)
		}
	}
	lines := environmentLines(map[string]string{"B": "2", "A": "1 2"})
	if !slices.Equal(lines, []string{`A="1 2"`, `B="2"`}) {
		t.Errorf("got %v", lines)
	}
}
