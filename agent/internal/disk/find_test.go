package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gaovm/agent/internal/wire"
)

func TestFind(t *testing.T) {
	blocks := t.TempDir()
	for path, text := range map[string]string{"vda/serial": "root", "vdb/serial": "one\n", "vdc/serial": "two", "vdc/vdc1/size": "1"} {
		path = filepath.Join(blocks, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for serial, want := range map[string]string{"one": "/dev/vdb", "two": "/dev/vdc1"} {
		if got, err := find(blocks, serial, time.Second); got != want || err != nil {
			t.Errorf("%s: %s %v", serial, got, err)
		}
	}
	_, err := find(blocks, "three", time.Millisecond)
	var told *wire.Error
	if !errors.As(err, &told) || told.Code != wire.CodeNotFound {
		t.Error(err)
	}
}

func TestFormatArguments(t *testing.T) {
	join := func(fsType, label string, given ...string) string {
		text := ""
		for _, word := range formatArguments("/dev/vdb", fsType, label, given) {
			text += " " + word
		}
		return text
	}
	for got, want := range map[string]string{
		join("ext4", "lima-data", "-m", "0"):      " -m 0 -L lima-data /dev/vdb",
		join("ext4", "lima-data", "-Lmine"):       " -Lmine /dev/vdb",
		join("xfs", "lima-a-long-one"):            " /dev/vdb",
		join("f2fs", "lima-data"):                 " /dev/vdb",
		join("ext4", "lima-a-much-too-long-name"): " /dev/vdb",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFormatWithoutTheProgram(t *testing.T) {
	var told *wire.Error
	if err := Format("/dev/null", "nosuch", "l", nil); !errors.As(err, &told) || told.Code != wire.CodeUnsupported {
		t.Error(err)
	}
}
