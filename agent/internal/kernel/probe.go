package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gaovm/agent/internal/journal"
)

// moduleDirectories are where modprobe may be: an early service has a short PATH.
var moduleDirectories = []string{"/sbin/", "/usr/sbin/", "/bin/", "/usr/bin/", "/run/current-system/sw/bin/"}

// shareModules are the modules of each phase of shareDevices in a distribution's own kernel.
var shareModules = map[string][]string{"9p": {"9pnet_virtio", "9p"}, "virtiofs": {"virtiofs"}}

// Probe loads modules of the distribution's kernel. A kernel may have them built in.
func Probe(names ...string) error {
	for _, directory := range moduleDirectories {
		if _, err := os.Stat(directory + "modprobe"); err == nil {
			return exec.Command(directory+"modprobe", append([]string{"-q", "-a"}, names...)...).Run()
		}
	}
	return exec.ErrNotFound
}

// ProbeShareModules loads the file systems of the devices that the VM has, from the distribution's
// own modules.
func ProbeShareModules(devices string) {
	for _, phase := range sharePhases(devices) {
		if err := Probe(shareModules[phase]...); err != nil {
			journal.Debug("modules of " + phase + ": " + err.Error())
		}
	}
}

// sharePhases returns the phase of each kind of share device that the VM has, once.
func sharePhases(devices string) []string {
	found, _ := filepath.Glob(filepath.Join(devices, "*", "device"))
	var wanted []string
	seen := map[string]bool{}
	for _, path := range found {
		number, _ := os.ReadFile(path)
		if phase := shareDevices[strings.TrimSpace(string(number))]; phase != "" && !seen[phase] {
			seen[phase] = true
			wanted = append(wanted, phase)
		}
	}
	return wanted
}
