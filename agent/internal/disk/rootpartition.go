package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	// growProgram makes a partition as large as its disk allows: cloud-init's own way, which images
	// with cloud-init have.
	growProgram = "growpart"
	noChange    = 1 // its exit status when there is nothing to do
)

// partition is the partition of a root file system, in an image with a partition table.
type partition struct {
	disk, device string // such as /dev/vda and /dev/vda2
	number       string
}

// rootPartition returns the partition of the root file system, if it is one.
func rootPartition() (partition, bool) {
	var root unix.Stat_t
	if unix.Stat("/", &root) != nil {
		return partition{}, false
	}
	return findPartition(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(root.Dev), unix.Minor(root.Dev)))
}

// findPartition reads the directory of a partition in sysfs, which lies in that of its disk.
func findPartition(entry string) (partition, bool) {
	number, err := os.ReadFile(filepath.Join(entry, "partition"))
	if err != nil {
		return partition{}, false
	}
	place, err := filepath.EvalSymlinks(entry)
	if err != nil {
		return partition{}, false
	}
	return partition{
		disk:   "/dev/" + filepath.Base(filepath.Dir(place)),
		device: "/dev/" + filepath.Base(place),
		number: strings.TrimSpace(string(number)),
	}, true
}

// grow makes the partition and its ext4 file system as large as the disk, once that has its size.
func (p partition) grow(size int64) error {
	var root unix.Statfs_t
	if err := unix.Statfs("/", &root); err != nil {
		return err
	}
	program, err := exec.LookPath(growProgram)
	if err != nil || root.Type != unix.EXT4_SUPER_MAGIC {
		return wire.Fail(wire.CodeUnsupported, "the root is a partition that only the image itself can grow, at its next boot")
	}
	if err := awaitSize(p.disk, size); err != nil {
		return err
	}
	said, err := process.Output(exec.Command(program, p.disk, p.number))
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() == noChange {
		err = nil
	}
	if err != nil {
		return wire.Fail(wire.CodeInternal, growProgram+": "+err.Error()+": "+strings.TrimSpace(string(said)))
	}
	return GrowFileSystem(p.device, "/")
}
