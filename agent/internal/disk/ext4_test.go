package disk

import (
	"testing"
)

func TestExtGeometry(t *testing.T) {
	super := make([]byte, 1024)
	if _, _, ok := extGeometry(super); ok {
		t.Error("took zeros for a superblock")
	}
	super[0x38], super[0x39], super[0x18], super[0x05] = 0x53, 0xEF, 2, 1
	if blocks, size, ok := extGeometry(super); !ok || blocks != 256 || size != 4096 {
		t.Errorf("got %d %d %v", blocks, size, ok)
	}
}
