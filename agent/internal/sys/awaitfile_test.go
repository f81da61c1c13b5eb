package sys

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAwaitFileSeesWhatIsMadeAndWhatGoes(t *testing.T) {
	outer := t.TempDir()
	inner := filepath.Join(outer, "state")
	sign, starting := filepath.Join(inner, "sign"), filepath.Join(inner, "starting")
	looked := make(chan struct{}, 64)
	done := func() bool {
		looked <- struct{}{}
		return Exists(sign) && !Exists(starting)
	}
	ended := make(chan error, 1)
	go func() { ended <- AwaitFile(context.Background(), time.Minute, done, outer, inner) }()
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

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
