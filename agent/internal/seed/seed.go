// Package seed reads the disk that the host attaches to an unmodified distribution image: an
// ISO 9660 file system with the agent's program and its settings (docs/images.md).
package seed

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

const (
	// Serial is the serial number of the disk. A label could be on any disk of the guest's user.
	Serial = "cidata"
	// Program is the agent's program on the disk.
	Program      = "gaovm-agent"
	settingsFile = "gaovm.env"
	fileSystem   = "iso9660"
	blockDevices = "/sys/class/block"
	maxSettings  = 64 << 10
	maxWatchdogS = 3600
	// findTimeout is ample: the disk comes with the root disk, by the same driver.
	findTimeout = 5 * time.Second
)

// Settings are what the host tells the agent before it can call it.
type Settings struct {
	Digest   string        // SHA-256 of Program, in hexadecimal digits
	Watchdog time.Duration // 0: the agent feeds no watchdog
	Debug    bool
}

// Disk is the mounted disk.
type Disk struct {
	Directory string
	Settings  Settings
}

// Open mounts the disk on a directory of its own and reads the settings. The caller closes it.
func Open() (*Disk, error) {
	var device string
	found := func() bool {
		device = find(blockDevices)
		return device != "" && sys.Exists(device)
	}
	if err := sys.WaitUevent(found, findTimeout); err != nil {
		return nil, errors.New("no disk with the serial number " + Serial)
	}
	directory, err := os.MkdirTemp("/run", ".gaovm-seed-")
	if err != nil {
		return nil, err
	}
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount(device, directory, fileSystem, flags, ""); err != nil {
		_ = os.Remove(directory)
		return nil, errors.New("mounting " + device + ": " + err.Error())
	}
	disk := &Disk{Directory: directory}
	body, err := sys.ReadBounded(filepath.Join(directory, settingsFile), maxSettings)
	if err != nil {
		disk.Close()
		return nil, err
	}
	disk.Settings = parse(string(body))
	return disk, nil
}

// Close unmounts the disk.
func (d *Disk) Close() {
	_ = unix.Unmount(d.Directory, unix.MNT_DETACH)
	_ = os.Remove(d.Directory)
}

// find returns the device of the seed, or "" when the kernel has none.
func find(class string) string {
	paths, _ := filepath.Glob(filepath.Join(class, "*", "serial"))
	for _, path := range paths {
		serial, err := sys.ReadBounded(path, sys.MaxProcFile)
		if err == nil && strings.TrimSpace(string(serial)) == Serial {
			return "/dev/" + filepath.Base(filepath.Dir(path))
		}
	}
	return ""
}

// parse reads lines KEY=VALUE and leaves out what it does not understand.
func parse(body string) Settings {
	var settings Settings
	for _, line := range strings.Split(body, "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "AGENT_SHA256":
			settings.Digest = value
		case "DEBUG":
			settings.Debug = value == "1"
		case "WATCHDOG_S":
			if seconds, err := strconv.Atoi(value); err == nil && 0 < seconds && seconds <= maxWatchdogS {
				settings.Watchdog = time.Duration(seconds) * time.Second
			}
		}
	}
	return settings
}
