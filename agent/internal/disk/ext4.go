package disk

import (
	"encoding/binary"
	"os"

	"gaovm/agent/internal/sys"
)

const (
	extSuper     = 1024   // offset of the superblock
	extMagic     = 0xEF53 // at offset 0x38 of it
	extResizeFS  = 0x40086610
	minimumGrown = 64 // blocks; less is not worth a resize
)

// GrowFileSystem makes a mounted ext4 file system as large as its device. It may be in use.
func GrowFileSystem(path, mounted string) error {
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
	return sys.IoctlPointer(int(dir.Fd()), extResizeFS, &want)
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
