package roles

import (
	"testing"
	"time"

	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

func TestASuccessorThatDiesSoonMakesTheNextOneWait(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer sys.CloseAll(ends[0])
	sys.CloseAll(ends[1]) // it is dead
	if pause := nextRespite(4*time.Second, time.Now(), ends[0]); pause != 8*time.Second {
		t.Fatalf("%s after a short life", pause)
	}
	if pause := nextRespite(20*time.Second, time.Now(), ends[0]); pause != longestRespite {
		t.Fatalf("%s after many", pause)
	}
	if pause := nextRespite(20*time.Second, time.Now().Add(-time.Hour), ends[0]); pause != time.Second {
		t.Fatalf("%s after a long one", pause)
	}
}

func TestTheWatcherTellsAnEndFromADeath(t *testing.T) {
	for _, meant := range []bool{true, false} {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		l := &Life{ends[1]}
		if meant {
			l.End()
		}
		sys.CloseAll(ends[1])
		if awaitDeath(ends[0]) != meant {
			t.Errorf("meant: %v", meant)
		}
		sys.CloseAll(ends[0])
	}
}
