package kernel

import (
	"errors"
	"os"
	"slices"
	"strings"

	"gaovm/agent/internal/journal"

	"golang.org/x/sys/unix"
)

const (
	VirtioDevices = "/sys/bus/virtio/devices"
	moduleList    = "/modules.list"
	maxModuleList = 1 << 20
)

// The phases in which the agent loads modules. It loads a file system's phase only if the VM has
// the device for it.
const (
	PhaseBoot     = "boot"
	PhaseNetwork  = "network"
	PhaseLate     = "late"
	PhaseWatchdog = "watchdog"
)

// shareDevices maps the number of a virtio device (virtio 1.2, section 5) to the phase of its file
// system.
var shareDevices = map[string]string{"0x0009": "9p", "0x001a": "virtiofs"}

var phases = []string{PhaseBoot, "9p", "virtiofs", PhaseNetwork, PhaseLate, PhaseWatchdog}

// moduleEntry is one line of the list: the phase, and the module's path.
type moduleEntry struct{ phase, path string }

func parseModuleList(body string) []moduleEntry {
	var entries []moduleEntry
	for _, line := range strings.Split(body, "\n") {
		phase, path, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && slices.Contains(phases, phase) {
			entries = append(entries, moduleEntry{phase, strings.TrimPrefix(path, "/")})
		}
	}
	return entries
}

// LoadModules loads the modules of one phase in the order of the list, from the directory that root
// is open on. It warns of a module that fails and goes on: the image may bring a kernel that has it
// built in.
func LoadModules(root int, phase string) {
	list, err := readAt(root, strings.TrimPrefix(moduleList, "/"))
	if err != nil {
		return
	}
	for _, entry := range parseModuleList(list) {
		if entry.phase != phase {
			continue
		}
		if err := loadModule(root, entry.path); err != nil && !errors.Is(err, unix.EEXIST) {
			journal.Warn("module " + entry.path + ": " + err.Error())
		}
	}
}

// ListsPhase tells whether the list has a module of the phase.
func ListsPhase(root int, phase string) bool {
	list, err := readAt(root, strings.TrimPrefix(moduleList, "/"))
	return err == nil && slices.ContainsFunc(parseModuleList(list), func(e moduleEntry) bool { return e.phase == phase })
}

// LoadShareModules loads the file systems of the devices that the VM has, and no others: the first
// command waits some milliseconds for each.
func LoadShareModules(root int, devices string) {
	for _, phase := range sharePhases(devices) {
		LoadModules(root, phase)
	}
}

func loadModule(root int, path string) error {
	fd, err := unix.Openat(root, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.FinitModule(fd, "", 0)
}

func readAt(root int, path string) (string, error) {
	fd, err := unix.Openat(root, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	buf := make([]byte, maxModuleList)
	n, err := file.Read(buf)
	return string(buf[:n]), err
}

// RemoveInitramfs frees the memory of the modules, and removes the name of the program: the kernel
// keeps its file as long as it runs.
func RemoveInitramfs(root int) {
	list, err := readAt(root, strings.TrimPrefix(moduleList, "/"))
	if err != nil {
		return
	}
	for _, entry := range parseModuleList(list) {
		_ = unix.Unlinkat(root, entry.path, 0)
	}
	for _, path := range []string{strings.TrimPrefix(moduleList, "/"), "init"} {
		_ = unix.Unlinkat(root, path, 0)
	}
}
