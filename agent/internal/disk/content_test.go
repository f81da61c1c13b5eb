package disk

import (
	"os"
	"path/filepath"
	"testing"
)

// diskWith makes a sparse file of 64 MiB with text at an offset.
func diskWith(t *testing.T, at int64, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte(text), at); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestInspect puts the marks of what may be on a disk in their places: a disk with any of them is
// not empty.
func TestInspect(t *testing.T) {
	size := int64(64 << 20)
	for _, c := range []struct {
		name, text, fsType string
		at                 int64
	}{
		{"ext4", "\x53\xef", "ext4", 1024 + 0x38},
		{"xfs", "XFSB", "xfs", 0},
		{"btrfs", "_BHRfS_M", "btrfs", 0x10040},
		{"swap", "SWAPSPACE2", "", 4086},
		{"swap of 64-KiB pages", "SWAPSPACE2", "", 65526},
		{"LVM", "LABELONE", "", 512},
		{"LUKS", "LUKS\xba\xbe", "", 0},
		{"MBR", "\x55\xaa", "", 510},
		{"GPT", "EFI PART", "", 512},
		{"the copy of a GPT", "EFI PART", "", size - 512},
		{"RAID 1.0", "\xfc\x4e\x2b\xa9", "", size - 8192},
		{"RAID 0.90", "\xfc\x4e\x2b\xa9", "", size - 65536},
		{"bcachefs", "\xc6\x85\x73\xf6", "", 4096 + 24},
		{"F2FS", "\x10\x20\xf5\xf2", "", 1024},
		{"ZFS", "\x0c\xb1\xba", "", 128 << 10},
		{"VMFS", "\x0d\xd0\x01\xc0", "", 0x100000},
		{"ISO 9660", "CD001", "", 32769},
		{"one byte", "x", "", 4<<20 - 1},
		{"one byte near the end", "x", "", size - 4<<20},
		{"the last byte", "x", "", size - 1},
	} {
		found, err := Inspect(diskWith(t, c.at, c.text))
		if err != nil || found.Empty || found.FSType != c.fsType {
			t.Errorf("%s: %+v %v", c.name, found, err)
		}
	}
	if found, err := Inspect(diskWith(t, 0, "\x00")); err != nil || !found.Empty {
		t.Errorf("zeros: %+v %v", found, err)
	}
	if _, err := Inspect("/nonexistent"); err == nil {
		t.Error("a disk that cannot be read has no content")
	}
}

func TestInspectOfASmallDisk(t *testing.T) {
	path := diskWith(t, 0, "\x00")
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	if found, err := Inspect(path); err != nil || !found.Empty {
		t.Errorf("%+v %v", found, err)
	}
}
