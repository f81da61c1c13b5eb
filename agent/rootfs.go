package main

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	rootTimeout  = 30 * time.Second
	newRoot      = "/root"
	extSuper     = 1024   // offset of the superblock
	extMagic     = 0xEF53 // at offset 0x38 of it
	extResizeFS  = 0x40086610
	minimumGrown = 64 // blocks: less is not worth a resize
)

var rootFlagBits = map[string]uintptr{
	"ro": unix.MS_RDONLY, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME, "relatime": unix.MS_RELATIME,
	"sync": unix.MS_SYNCHRONOUS, "nodev": unix.MS_NODEV, "nosuid": unix.MS_NOSUID, "noexec": unix.MS_NOEXEC,
	"strictatime": unix.MS_STRICTATIME, "lazytime": unix.MS_LAZYTIME, "rw": 0, "defaults": 0,
}

// splitMountFlags separates the flags of mount(2) from the file system's own options.
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
func mountRoot(args *kernelArguments) error {
	if !strings.HasPrefix(args.root, "/dev/") {
		return errors.New("no root=/dev/… on the kernel command line")
	}
	present := func() bool {
		var stat unix.Stat_t
		return unix.Stat(args.root, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFBLK
	}
	if err := waitUevent(present, rootTimeout); err != nil {
		return errors.New("the root device " + args.root + " did not appear: " + err.Error())
	}
	if err := os.MkdirAll(newRoot, 0o755); err != nil {
		return err
	}
	flags, options := splitMountFlags(args.rootFlags)
	if err := unix.Mount(args.root, newRoot, args.rootType, flags, options); err != nil {
		return errors.New("mounting " + args.root + " as " + args.rootType + ": " + err.Error())
	}
	return nil
}

// growRoot makes the root's file system, mounted on /root, as large as its device, if it is an ext4 one.
func growRoot(args *kernelArguments) error {
	if args.rootType != "ext4" {
		return nil
	}
	return growFileSystem(args.root, newRoot)
}

// growFileSystem makes a mounted ext4 file system as large as its device. The kernel does it while it is in use.
func growFileSystem(path, mounted string) error {
	size, err := deviceSize(path)
	if err != nil {
		return err
	}
	super := make([]byte, 1024)
	if err := readPiece(path, super, extSuper); err != nil {
		return err
	}
	blocks, blockSize, ok := extGeometry(super)
	if !ok || uint64(size)/blockSize < blocks+minimumGrown {
		return nil
	}
	dir, err := os.Open(mounted)
	if err != nil {
		return err
	}
	defer dir.Close()
	want := uint64(size) / blockSize
	return ioctlPointer(int(dir.Fd()), extResizeFS, &want)
}

func readPiece(path string, buf []byte, offset int64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.ReadAt(buf, offset)
	return err
}

// extGeometry reads the number and size of blocks from an ext4 superblock.
func extGeometry(super []byte) (blocks, blockSize uint64, ok bool) {
	if binary.LittleEndian.Uint16(super[0x38:]) != extMagic {
		return 0, 0, false
	}
	shift := binary.LittleEndian.Uint32(super[0x18:])
	if shift > 6 {
		return 0, 0, false
	}
	blocks = uint64(binary.LittleEndian.Uint32(super[0x04:]))
	const has64Bit = 0x80
	if binary.LittleEndian.Uint32(super[0x60:])&has64Bit != 0 {
		blocks |= uint64(binary.LittleEndian.Uint32(super[0x150:])) << 32
	}
	return blocks, 1024 << shift, true
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
