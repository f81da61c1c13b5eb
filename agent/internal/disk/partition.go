package disk

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/wire"
)

// spareSectors is how much a GPT keeps at the end of a disk, rounded up to the usual alignment.
const spareSectors = 2048

// GrowPartition makes the first partition of a disk as large as the disk, by the guest's growpart.
// It does nothing for a whole disk, or for a partition that needs no growth. Nothing of it may be
// mounted.
func GrowPartition(device string) error { return growPartition("/sys/class/block", device) }

func growPartition(blocks, device string) error {
	name := filepath.Base(device)
	whole := strings.TrimSuffix(name, "1")
	if whole == name || !canGrow(blocks, whole, name) {
		return nil
	}
	program := lookUp("growpart")
	if program == "" {
		return wire.Fail(wire.CodeUnsupported, "the guest has no growpart")
	}
	ctx, cancel := context.WithTimeout(context.Background(), formatTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, program, filepath.Join(filepath.Dir(device), whole), "1")
	command.Env = []string{"PATH=" + programDirs, "LC_ALL=C"}
	_, err := process.Output(command)
	return err
}

func canGrow(blocks, whole, partition string) bool {
	at := sectors(filepath.Join(blocks, partition, "start"))
	size := sectors(filepath.Join(blocks, partition, "size"))
	return at > 0 && size > 0 && at+size+spareSectors < sectors(filepath.Join(blocks, whole, "size"))
}

// sectors reads a number of the kernel's, in sectors of 512 bytes; 0 if there is none.
func sectors(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	number, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return number
}
