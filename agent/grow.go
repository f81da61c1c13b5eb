package main

import (
	"errors"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// growTimeout: the kernel learns of a larger disk by an interrupt that comes right after the host's resize.
const growTimeout = 10 * time.Second

// grow makes the root file system as large as its disk, which the host has just made larger.
func (a *agent) grow(r *http.Request) (any, error) {
	var body struct {
		SizeBytes int64 `json:"size_bytes"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.SizeBytes <= 0 {
		return nil, badField("size_bytes", "not a size")
	}
	if a.real {
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
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	args, _ := parseCmdline(string(line)) // an ip= that is not understood is none of this call's business
	if args.rootType != "ext4" {
		return fail(codeUnsupported, "a root file system of type "+args.rootType+" is not grown")
	}
	large := func() bool {
		now, err := deviceSize(args.root)
		return err == nil && now >= size
	}
	if err := waitUevent(large, growTimeout); err != nil {
		if errors.Is(err, unix.ETIMEDOUT) {
			return fail(codeConflict, args.root+" has not become larger")
		}
		return err
	}
	return growFileSystem(args.root, "/")
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
