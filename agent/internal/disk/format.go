package disk

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"time"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/wire"
)

const (
	formatTimeout = 4 * time.Minute
	// programDirs are where distributions have mkfs; the agent's own environment has no PATH.
	programDirs = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin:/run/current-system/sw/bin"
	maxWords    = 500
)

// labelLimits are the longest labels that the programs accept; any other gets none.
var labelLimits = map[string]int{"ext2": 16, "ext3": 16, "ext4": 16, "xfs": 12, "btrfs": 255}

// Format makes a file system on a device by the guest's own mkfs. The caller knows that the device
// holds nothing.
func Format(device, fsType, label string, arguments []string) error {
	name := "mkfs." + fsType
	program := lookUp(name)
	if program == "" {
		return wire.Fail(wire.CodeUnsupported, "the guest has no "+name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), formatTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, program, formatArguments(device, fsType, label, arguments)...)
	command.Env = []string{"PATH=" + programDirs, "LC_ALL=C"}
	var said bytes.Buffer
	command.Stderr = &said
	if _, err := process.Output(command); err != nil {
		words := strings.Join(strings.Fields(said.String()), " ")
		return wire.Fail(wire.CodeInternal, name+": "+err.Error()+": "+words[max(0, len(words)-maxWords):])
	}
	return nil
}

func formatArguments(device, fsType, label string, given []string) []string {
	arguments := append([]string{}, given...)
	labelled := false
	for _, word := range given {
		labelled = labelled || strings.HasPrefix(word, "-L")
	}
	if len(label) <= labelLimits[fsType] && !labelled {
		arguments = append(arguments, "-L", label)
	}
	return append(arguments, device)
}

func lookUp(name string) string {
	for _, dir := range strings.Split(programDirs, ":") {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path
		}
	}
	return ""
}
