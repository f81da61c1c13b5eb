package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is a plain directory in the place of cgroup2.
func hierarchy(t *testing.T) (*cgroups, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ownCgroup), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return newCgroups(root), dir
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestACgroupWithoutProcessesIsUsedAgain(t *testing.T) {
	c, dir := hierarchy(t)
	first, second := c.take(nil), c.take(nil)
	if first.name != execCgroup+"0" || second.name != execCgroup+"1" {
		t.Fatalf("got %s and %s", first.name, second.name)
	}
	put(t, filepath.Join(dir, first.name, "cgroup.events"), "populated 1\nfrozen 0\n")
	first.release()
	second.release()
	if third := c.take(nil); third != second {
		t.Fatalf("got %s, in which a background process was left, or a new one", third.name)
	}
}

func TestWhatAnEarlierAgentLeftIsPassedBy(t *testing.T) {
	c, dir := hierarchy(t)
	left := filepath.Join(dir, execCgroup+"0")
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(left, "cgroup.events"), "populated 1\nfrozen 0\n")
	if s := c.take(nil); s.name != execCgroup+"1" {
		t.Fatalf("got %s", s.name)
	}
}

func TestEachOOMKillIsToldOnceAndTheLastAtTheEnd(t *testing.T) {
	c, dir := hierarchy(t)
	put(t, filepath.Join(dir, "cgroup.subtree_control"), "memory pids\n")
	put(t, filepath.Join(dir, ownCgroup, "cgroup.subtree_control"), "")
	s := c.take(nil)
	s.release()
	events := filepath.Join(dir, s.name, "memory.events")
	put(t, events, "low 0\noom 3\noom_kill 3\n")
	told := make(chan uint64, 8)
	s = c.take(func(kills uint64) { told <- kills })
	put(t, events, "low 0\noom 4\noom_kill 4\n") // the watch tells of it
	if kills := <-told; kills != 1 {
		t.Fatalf("told of %d", kills)
	}
	put(t, events, "low 0\noom 6\noom_kill 6\n") // the watch or the end, whichever looks first
	s.release()
	if kills := <-told; kills != 2 || len(told) != 0 {
		t.Fatalf("told of %d", kills)
	}
}

func TestWithoutCgroupsACommandStaysWhereTheAgentIs(t *testing.T) {
	s := newCgroups(-1).take(nil)
	s.check()
	s.release()
	if s != nil {
		t.Fatal("a cgroup out of nothing")
	}
}

func TestASuccessorThatDiesSoonMakesTheNextOneWait(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer closeAll(ends[0])
	closeAll(ends[1]) // it is dead
	if pause := nextRespite(4*time.Second, time.Now(), ends[0]); pause != 8*time.Second {
		t.Fatalf("%s after a short life", pause)
	}
	if pause := nextRespite(20*time.Second, time.Now(), ends[0]); pause != longestRespite {
		t.Fatalf("%s after many", pause)
	}
	if pause := nextRespite(20*time.Second, time.Now().Add(-time.Hour), ends[0]); pause != time.Second {
		t.Fatalf("%s after a long one", pause)
	}
}

func TestTheWatcherTellsAnEndFromADeath(t *testing.T) {
	for _, meant := range []bool{true, false} {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		a := &agent{life: ends[1]}
		if meant {
			a.endWatched()
		}
		closeAll(ends[1])
		if awaitDeath(ends[0]) != meant {
			t.Errorf("meant: %v", meant)
		}
		closeAll(ends[0])
	}
}
