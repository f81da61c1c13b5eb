// Package disk grows the root file system to the size of its disk.
package disk

import (
	"errors"
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
	if root, ok := rootPartition(); ok {
		return root.grow(size)
	}
	args, err := kernel.ReadArguments()
	if err != nil {
		return err
	}
	if args.RootType != "ext4" {
		return wire.Fail(wire.CodeUnsupported, "a root file system of type "+args.RootType+" cannot grow")
	}
	if err := awaitSize(args.Root, size); err != nil {
		return err
	}
	return GrowFileSystem(args.Root, "/")
}

// awaitSize returns when a device has this size.
func awaitSize(device string, size int64) error {
	large := func() bool {
		now, err := deviceSize(device)
		return err == nil && now >= size
	}
	err := sys.WaitUevent(large, growTimeout)
	if errors.Is(err, unix.ETIMEDOUT) {
		return wire.Fail(wire.CodeConflict, device+" has not become larger")
	}
	return err
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
