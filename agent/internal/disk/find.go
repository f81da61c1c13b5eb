package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// findTimeout is ample: the disks are there when the kernel starts, and it looks at them within a
// moment.
const findTimeout = 10 * time.Second

// Find returns the device (/dev/…) of the disk with a serial number. If the disk has partitions, it
// is the first one: Lima makes one on each disk.
func Find(serial string) (string, error) { return find("/sys/class/block", serial, findTimeout) }

func find(blocks, serial string, timeout time.Duration) (string, error) {
	name := ""
	there := func() bool {
		name = bySerial(blocks, serial)
		return name != ""
	}
	if err := sys.WaitUevent(there, timeout); err != nil {
		if errors.Is(err, unix.ETIMEDOUT) {
			return "", wire.Fail(wire.CodeNotFound, "no disk has the serial number "+serial)
		}
		return "", err
	}
	if _, err := os.Stat(filepath.Join(blocks, name, name+"1")); err == nil {
		name += "1"
	}
	return "/dev/" + name, nil
}

func bySerial(blocks, serial string) string {
	found, _ := filepath.Glob(filepath.Join(blocks, "*", "serial"))
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(text)) == serial {
			return filepath.Base(filepath.Dir(path))
		}
	}
	return ""
}
