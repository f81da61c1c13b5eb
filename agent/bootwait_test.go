package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
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

func TestAwaitFileSeesWhatIsMadeAndWhatGoes(t *testing.T) {
	outer := t.TempDir()
	inner := filepath.Join(outer, "state")
	sign, starting := filepath.Join(inner, "sign"), filepath.Join(inner, "starting")
	looked := make(chan struct{}, 64)
	done := func() bool {
		looked <- struct{}{}
		return exists(sign) && !exists(starting)
	}
	ended := make(chan error, 1)
	go func() { ended <- awaitFile(context.Background(), time.Minute, done, outer, inner) }()
	<-looked
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	<-looked
	put(t, starting, "")
	<-looked
	put(t, sign, "")
	<-looked
	if err := os.Remove(starting); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
