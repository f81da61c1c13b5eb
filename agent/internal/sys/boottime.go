package sys

import "golang.org/x/sys/unix"

// BootNanoseconds is CLOCK_BOOTTIME, or 0 when the kernel has none.
func BootNanoseconds() int64 {
	var at unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &at) != nil {
		return 0
	}
	return at.Nano()
}

// BootMilliseconds is CLOCK_BOOTTIME in milliseconds.
func BootMilliseconds() float64 { return float64(BootNanoseconds()/1000) / 1000 }

// MillisecondsSince is the time that has passed since a moment of CLOCK_BOOTTIME.
func MillisecondsSince(start int64) float64 { return float64((BootNanoseconds()-start)/1000) / 1000 }
