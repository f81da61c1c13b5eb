package boot

import (
	"errors"
	"os"
	"strings"
	"time"

	"gaovm/agent/internal/disk"
	"gaovm/agent/internal/kernel"
	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

const (
	rootTimeout = 30 * time.Second
	newRoot     = "/root"
)

var rootFlagBits = map[string]uintptr{
	"ro": unix.MS_RDONLY, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
	"sync": unix.MS_SYNCHRONOUS, "nodev": unix.MS_NODEV, "nosuid": unix.MS_NOSUID, "noexec": unix.MS_NOEXEC,
	"strictatime": unix.MS_STRICTATIME, "lazytime": unix.MS_LAZYTIME, "rw": 0, "defaults": 0,
}

// splitMountFlags separates the flags of mount(2) from the options of the file system.
func splitMountFlags(options string) (uintptr, string) {
	var flags uintptr
	var own []string
	for _, option := range strings.Split(options, ",") {
		if bit, ok := rootFlagBits[option]; ok {
			flags |= bit
		} else if option != "" {
			own = append(own, option)
		}
	}
	return flags, strings.Join(own, ",")
}

// mountRoot waits for the root device and mounts it on /root.
func mountRoot(args *kernel.Arguments) error {
	if !strings.HasPrefix(args.Root, "/dev/") {
		return errors.New("no root=/dev/… on the kernel command line")
	}
	present := func() bool {
		var stat unix.Stat_t
		return unix.Stat(args.Root, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFBLK
	}
	if err := sys.WaitUevent(present, rootTimeout); err != nil {
		return errors.New("the root device " + args.Root + " did not appear: " + err.Error())
	}
	if err := os.MkdirAll(newRoot, 0o755); err != nil {
		return err
	}
	flags, options := splitMountFlags(args.RootFlags)
	if err := unix.Mount(args.Root, newRoot, args.RootType, flags, options); err != nil {
		return errors.New("mounting " + args.Root + " as " + args.RootType + ": " + err.Error())
	}
	return nil
}

// growRoot makes an ext4 file system on /root as large as its device.
func growRoot(args *kernel.Arguments) error {
	if args.RootType != "ext4" {
		return nil
	}
	return disk.GrowFileSystem(args.Root, newRoot)
}

// switchRoot moves the mounts into the new root and makes it "/".
func switchRoot() error {
	for _, place := range []string{"/dev", "/proc", "/sys", "/run"} {
		if err := os.MkdirAll(newRoot+place, 0o755); err != nil && !errors.Is(err, unix.EROFS) {
			return err
		}
		if err := unix.Mount(place, newRoot+place, "", unix.MS_MOVE, ""); err != nil {
			return errors.New("moving " + place + ": " + err.Error())
		}
	}
	if err := unix.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return errors.New("moving the root: " + err.Error())
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}
