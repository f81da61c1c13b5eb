package process

import (
	"os"
	"testing"
)

func TestRelayedKnowsFileSystems(t *testing.T) {
	var r relayed
	if r.hold("/proc") {
		t.Fatal("an empty list holds something")
	}
	r.Add("/proc")
	r.Add("/no/such/path")
	if !r.hold("/", "/proc/self") || r.hold(t.TempDir(), "/no/such/path") {
		t.Fatal("file systems are mixed up")
	}
}

func TestEnterSaysWhyItFailed(t *testing.T) {
	here := t.TempDir()
	plain := here + "/plain"
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(here)
	for want, args := range map[int][]string{
		exitNotFound:      {EnterName, here, here + "/none", "none"},
		exitNotExecutable: {EnterName, here, plain, "plain"},
	} {
		if got := Enter(args); got != want {
			t.Errorf("%v: %d", args, got)
		}
	}
	if got := Enter([]string{EnterName, here + "/gone", "/bin/true", "true"}); got != exitNotFound {
		t.Errorf("no directory: %d", got)
	}
}
