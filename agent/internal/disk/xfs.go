package disk

import (
	"encoding/binary"
	"os"

	"gaovm/agent/internal/sys"
)

// xfsGrowData is _IOW('X', 110, struct xfs_growfs_data) of the kernel's xfs_fs.h.
const xfsGrowData = 0x4010586e

// growXFS makes a mounted XFS as large as its device. It may be in use.
func growXFS(path, mounted string) error {
	size, err := deviceSize(path)
	if err != nil {
		return err
	}
	super := make([]byte, 512)
	if err := readPiece(path, super, 0); err != nil {
		return err
	}
	blockSize := uint64(binary.BigEndian.Uint32(super[4:]))
	blocks := binary.BigEndian.Uint64(super[8:])
	if string(super[:4]) != "XFSB" || blockSize < 512 || uint64(size)/blockSize < blocks+minimumGrown {
		return nil
	}
	dir, err := os.Open(mounted)
	if err != nil {
		return err
	}
	defer dir.Close()
	want := struct {
		newBlocks  uint64
		maxPercent uint32 // of the space, for inodes: as it is
		_          uint32
	}{newBlocks: uint64(size) / blockSize, maxPercent: uint32(super[127])}
	return sys.IoctlPointer(int(dir.Fd()), xfsGrowData, &want)
}

// GrowMounted makes a mounted file system as large as its device, if it is one that can grow.
func GrowMounted(path, mounted, fsType string) error {
	switch fsType {
	case "ext4":
		return GrowFileSystem(path, mounted)
	case "xfs":
		return growXFS(path, mounted)
	}
	return nil
}
