package process

import (
	"testing"
)

func TestStatGroup(t *testing.T) {
	if got := statGroup("12 (a b) c) S 1 99 12 0"); got != 99 {
		t.Errorf("got %d", got)
	}
	if got := statGroup("nonsense"); got != -1 {
		t.Errorf("got %d", got)
	}
}
