package clock

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestAStepIsWholeSecondsAndARestThatIsNotNegative(t *testing.T) {
	for _, c := range []struct{ offset, seconds, rest int64 }{
		{1_500_000_000, 1, 500_000_000}, {-1, -1, 999_999_999}, {-2_000_000_000, -2, 0}, {7, 0, 7},
	} {
		change, err := clockChange(c.offset, true, 0)
		if err != nil || change.Time != (unix.Timeval{Sec: c.seconds, Usec: c.rest}) {
			t.Errorf("%d: %v %v", c.offset, change, err)
		}
		if change.Modes&unix.ADJ_OFFSET != 0 {
			t.Errorf("%d: a step that slews", c.offset)
		}
	}
}

func TestASlewIsLeftToTheKernelAndNotWrittenToTheClockChip(t *testing.T) {
	change, err := clockChange(-3_000_000, false, 2)
	if err != nil || change.Offset != -3_000_000 || change.Constant != 2 {
		t.Fatal(change, err)
	}
	if change.Status != unix.STA_PLL|unix.STA_UNSYNC {
		t.Errorf("status %#x", change.Status)
	}
	for _, wrong := range []int64{int64(maxSlew) + 1, -int64(maxSlew) - 1} {
		if _, err := clockChange(wrong, false, 0); err == nil {
			t.Errorf("%d is slewed", wrong)
		}
	}
	if _, err := clockChange(1, false, maxTimeConstant+1); err == nil {
		t.Error("a constant that the kernel does not know")
	}
}
