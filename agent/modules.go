package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	virtioDevices = "/sys/bus/virtio/devices"
	moduleList    = "/modules.list"
	maxModuleList = 1 << 20
)

// The phases in which modules are loaded. Those of a file system are loaded where the VM has its device.
const (
	phaseBoot     = "boot"
	phaseNetwork  = "network"
	phaseLate     = "late"
	phaseWatchdog = "watchdog"
)

// shareDevices are the phases of file systems, by the number of their virtio device (virtio 1.2, section 5).
var shareDevices = map[string]string{"0x0009": "9p", "0x001a": "virtiofs"}

var phases = []string{phaseBoot, "9p", "virtiofs", phaseNetwork, phaseLate, phaseWatchdog}

// moduleEntry is one line of the list: when and what.
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

// loadModules loads one phase's modules in their order, from the directory that root is open on. One that
// fails is reported and does not stop the others: the image may bring a kernel with a part built in.
func loadModules(root int, phase string) {
	list, err := readAt(root, strings.TrimPrefix(moduleList, "/"))
	if err != nil {
		return
	}
	for _, entry := range parseModuleList(list) {
		if entry.phase != phase {
			continue
		}
		if err := loadModule(root, entry.path); err != nil && !errors.Is(err, unix.EEXIST) {
			warn("module " + entry.path + ": " + err.Error())
		}
	}
}

// listsPhase tells whether the list has a module of that phase.
func listsPhase(root int, phase string) bool {
	list, err := readAt(root, strings.TrimPrefix(moduleList, "/"))
	return err == nil && slices.ContainsFunc(parseModuleList(list), func(e moduleEntry) bool { return e.phase == phase })
}

// loadShareModules loads the file systems of the devices that the VM has, and of no others: each costs milliseconds
// for which the first command waits.
func loadShareModules(root int, devices string) {
	found, _ := filepath.Glob(filepath.Join(devices, "*", "device"))
	loaded := map[string]bool{}
	for _, path := range found {
		number, _ := os.ReadFile(path)
		if phase := shareDevices[strings.TrimSpace(string(number))]; phase != "" && !loaded[phase] {
			loaded[phase] = true
			loadModules(root, phase)
		}
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

// removeInitramfs frees the memory of the modules, and of the program's name: the file itself lives as long as it runs.
func removeInitramfs(root int) {
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
