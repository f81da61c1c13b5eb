package memory

import "testing"

func TestDroppableSparesWrittenPages(t *testing.T) {
	smaps := `00400000-00600000 r-xp 00000000 00:02 12 /init (deleted)
Rss:                2048 kB
Anonymous:             0 kB
VmFlags: rd ex
00600000-00700000 r--p 00200000 00:02 12 /init (deleted)
Anonymous:             4 kB
00700000-00800000 rw-p 00300000 00:02 12 /init (deleted)
Anonymous:             0 kB
00800000-00900000 r--p 00000000 00:00 0
Anonymous:             0 kB
7fff0000-7fff1000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
`
	got := droppable(smaps)
	if len(got) != 1 || got[0] != (mapping{0x400000, 0x200000}) {
		t.Fatalf("got %x", got)
	}
}
