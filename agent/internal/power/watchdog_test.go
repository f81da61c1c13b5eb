package power

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// plant makes a device of /sys/class/watchdog.
func plant(t *testing.T, class, name, identity string) {
	t.Helper()
	device := filepath.Join(class, name)
	if err := os.MkdirAll(device, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(device, "identity"), []byte(identity+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFindWatchdogTakesOursOnly(t *testing.T) {
	class := t.TempDir()
	if name := findWatchdog(filepath.Join(class, "missing")); name != "" {
		t.Fatalf("found %q where nothing is", name)
	}
	plant(t, class, "watchdog0", "iTCO_wdt") // the chipset's own
	if name := findWatchdog(class); name != "" {
		t.Fatalf("took %q for ours", name)
	}
	plant(t, class, "watchdog1", watchdogIdentity)
	if name := findWatchdog(class); name != "watchdog1" {
		t.Fatalf("got %q", name)
	}
}

func TestReleaseSaysThatItIsMeant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dog")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	d := NewWatchdog()
	d.file = file
	d.release()
	d.release()
	if written, _ := os.ReadFile(path); string(written) != "V" {
		t.Fatalf("wrote %q", written)
	}
}

func TestFeedEndsWithTheRelease(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "dog"))
	if err != nil {
		t.Fatal(err)
	}
	d := NewWatchdog()
	d.file = file
	ended := make(chan struct{})
	go func() { d.feed(3 * time.Millisecond); close(ended) }()
	d.release()
	<-ended
}

func TestWatchdogResult(t *testing.T) {
	d := NewWatchdog()
	if got := d.Result(time.Millisecond); got.Fed || got.Error == "" {
		t.Fatalf("got %+v while it is being set up", got)
	}
	d.err = os.ErrNotExist
	close(d.begun)
	if got := d.Result(time.Second); got.Fed || got.Error != os.ErrNotExist.Error() {
		t.Fatalf("got %+v", got)
	}
	d.err = nil
	if got := d.Result(time.Second); !got.Fed || got.Error != "" {
		t.Fatalf("got %+v", got)
	}
}
