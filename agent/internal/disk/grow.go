// Package disk grows the root file system to the size of its disk.
package disk

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"gaovm/agent/internal/kernel"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// growTimeout is ample: the kernel learns of a larger disk by an interrupt right after the host's
// resize.
const growTimeout = 10 * time.Second

// Grow makes the root file system as large as its disk, which the host has just made larger. In
// development mode (real is false) it changes nothing.
func Grow(r *http.Request, real bool) (any, error) {
	var body struct {
		SizeBytes int64 `json:"size_bytes"`
	}
	if err := wire.ReadBody(r, &body); err != nil {
		return nil, err
	}
	if body.SizeBytes <= 0 {
		return nil, wire.BadField("size_bytes", "not a size")
	}
	if real {
		if err := growMounted(body.SizeBytes); err != nil {
			return nil, err
		}
	}
	var root unix.Statfs_t
	if err := unix.Statfs("/", &root); err != nil {
		return nil, err
	}
	return map[string]uint64{"total_bytes": root.Blocks * uint64(root.Bsize)}, nil
}

func growMounted(size int64) error {
	if sys.Exists(partitionFile()) {
		return wire.Fail(wire.CodeUnsupported, "the root is a partition: it grows at the next boot, if the image grows it then")
	}
	args, err := kernel.ReadArguments()
	if err != nil {
		return err
	}
	if args.RootType != "ext4" {
		return wire.Fail(wire.CodeUnsupported, "a root file system of type "+args.RootType+" cannot grow")
	}
	large := func() bool {
		now, err := deviceSize(args.Root)
		return err == nil && now >= size
	}
	if err := sys.WaitUevent(large, growTimeout); err != nil {
		if errors.Is(err, unix.ETIMEDOUT) {
			return wire.Fail(wire.CodeConflict, args.Root+" has not become larger")
		}
		return err
	}
	return GrowFileSystem(args.Root, "/")
}

// partitionFile names a file of sysfs that is there only if the root device is a partition.
func partitionFile() string {
	var root unix.Stat_t
	if unix.Stat("/", &root) != nil {
		return ""
	}
	return fmt.Sprintf("/sys/dev/block/%d:%d/partition", unix.Major(root.Dev), unix.Minor(root.Dev))
}

func deviceSize(path string) (int64, error) {
	device, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer device.Close()
	size, err := unix.IoctlGetInt(int(device.Fd()), unix.BLKGETSIZE64)
	return int64(size), err
}
