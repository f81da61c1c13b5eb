package cgroups

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// hierarchy is a plain directory instead of cgroup2.
func hierarchy(t *testing.T) (*Groups, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ownCgroup), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return New(root), dir
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestACgroupWithoutProcessesIsUsedAgain(t *testing.T) {
	c, dir := hierarchy(t)
	first, second := c.Take(nil), c.Take(nil)
	if first.Name != execCgroup+"0" || second.Name != execCgroup+"1" {
		t.Fatalf("got %s and %s", first.Name, second.Name)
	}
	put(t, filepath.Join(dir, first.Name, "cgroup.events"), "populated 1\nfrozen 0\n")
	first.Release()
	second.Release()
	if third := c.Take(nil); third != second {
		t.Fatalf("got %s, in which a background process was left, or a new one", third.Name)
	}
}

func TestWhatAnEarlierAgentLeftIsPassedBy(t *testing.T) {
	c, dir := hierarchy(t)
	left := filepath.Join(dir, execCgroup+"0")
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(left, "cgroup.events"), "populated 1\nfrozen 0\n")
	if s := c.Take(nil); s.Name != execCgroup+"1" {
		t.Fatalf("got %s", s.Name)
	}
}

func TestEachOOMKillIsToldOnceAndTheLastAtTheEnd(t *testing.T) {
	c, dir := hierarchy(t)
	put(t, filepath.Join(dir, "cgroup.subtree_control"), "memory pids\n")
	put(t, filepath.Join(dir, ownCgroup, "cgroup.subtree_control"), "")
	s := c.Take(nil)
	s.Release()
	events := filepath.Join(dir, s.Name, "memory.events")
	put(t, events, "low 0\noom 3\noom_kill 3\n")
	told := make(chan uint64, 8)
	s = c.Take(func(kills uint64) { told <- kills })
	put(t, events, "low 0\noom 4\noom_kill 4\n") // the watch reports it
	if kills := <-told; kills != 1 {
		t.Fatalf("reported %d", kills)
	}
	put(t, events, "low 0\noom 6\noom_kill 6\n") // the watch or the end, whichever comes first
	s.Release()
	if kills := <-told; kills != 2 || len(told) != 0 {
		t.Fatalf("reported %d", kills)
	}
}

func TestWithoutCgroupsACommandStaysWhereTheAgentIs(t *testing.T) {
	s := New(-1).Take(nil)
	s.Check()
	s.Release()
	if s != nil {
		t.Fatal("a cgroup out of nothing")
	}
}
