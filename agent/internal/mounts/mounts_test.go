package mounts

import (
	"testing"
)

func TestTopMount(t *testing.T) {
	table := "1 0 8:1 / / rw - ext4 /dev/vda rw\n2 1 0:30 / /home/a\\040b rw,relatime shared:1 - 9p proj rw\n"
	if source, kind := topMount(table, "/home/a b"); source != "proj" || kind != "9p" {
		t.Fatalf("got %q %q", source, kind)
	}
	if source, _ := topMount(table, "/home"); source != "" {
		t.Fatalf("got %q", source)
	}
}

func TestDisksAreChecked(t *testing.T) {
	good := DiskSpec{Serial: "gaovm-1", Path: "/mnt/lima-data/", FSType: "ext4", FSArgs: []string{"-m", "0"}}
	if err := good.check("disks[0]"); err != nil || good.Path != "/mnt/lima-data" {
		t.Error(err, good.Path)
	}
	for _, bad := range []DiskSpec{
		{Path: "/m", FSType: "ext4"},
		{Serial: "a/../b", Path: "/m", FSType: "ext4"},
		{Serial: "s", Path: "m", FSType: "ext4"},
		{Serial: "s", Path: "/", FSType: "ext4"},
		{Serial: "s", Path: "/m", FSType: "../sh"},
		{Serial: "s", Path: "/m", FSType: ""},
		{Serial: "s", Path: "/m", FSType: "ext4", FSArgs: []string{"a\x00"}},
		{Serial: "s", Path: "/m", FSType: "ext4", FSArgs: make([]string, 33)},
	} {
		if bad.check("disks[0]") == nil {
			t.Errorf("took %+v", bad)
		}
	}
}
