// Package clock reads and sets the guest's wall clock.
package clock

import (
	"net/http"
	"time"

	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// clockTolerance is about as long as the message travels: setting the clock for a smaller
// difference would make it worse.
const clockTolerance = 20 * time.Millisecond

const (
	adjSetOffset    = 0x0100 // ADJ_SETOFFSET of include/uapi/linux/timex.h
	maxSlew         = 500 * time.Millisecond
	maxTimeConstant = 10
)

// Clock is the guest's wall clock.
type Clock struct {
	Real bool // false: development mode, which sets nothing
}

// Now answers with the guest's time, from which the host computes the difference.
func (c Clock) Now() (any, error) {
	return map[string]int64{"unix_ns": time.Now().UnixNano()}, nil
}

// Call sets the guest's clock and returns how far it was behind. With an offset it adds that to the
// clock, at once or gradually.
func (c Clock) Call(r *http.Request) (any, error) {
	var body struct {
		UnixNS   int64  `json:"unix_ns"`
		OffsetNS *int64 `json:"offset_ns"`
		Step     bool   `json:"step"`
		Constant int64  `json:"constant"`
	}
	if err := wire.ReadBody(r, &body); err != nil {
		return nil, err
	}
	if body.OffsetNS != nil {
		change, err := clockChange(*body.OffsetNS, body.Step, body.Constant)
		if err == nil && c.Real {
			_, err = unix.Adjtimex(change)
		}
		return map[string]int64{"offset_ns": *body.OffsetNS}, err
	}
	offset, err := c.Set(body.UnixNS)
	if err != nil {
		return nil, err
	}
	return map[string]int64{"offset_ns": offset}, nil
}

// clockChange is the request to adjtimex(2). A step is relative, so it does not matter when it
// happens. For a gradual change the kernel's own loop learns how fast this clock runs. The status
// stays "unsynchronized": otherwise the kernel would write the time into the machine's clock chip,
// which the host sets.
func clockChange(offsetNS int64, step bool, constant int64) (*unix.Timex, error) {
	if constant < 0 || constant > maxTimeConstant {
		return nil, wire.BadField("constant", "0 to 10")
	}
	if step {
		change := &unix.Timex{Modes: adjSetOffset | unix.ADJ_NANO}
		seconds := offsetNS / int64(time.Second)
		rest := offsetNS % int64(time.Second)
		if rest < 0 {
			seconds, rest = seconds-1, rest+int64(time.Second)
		}
		change.Time = unix.Timeval{Sec: seconds, Usec: rest}
		return change, nil
	}
	if offsetNS > int64(maxSlew) || offsetNS < -int64(maxSlew) {
		return nil, wire.BadField("offset_ns", "more than half a second, and no step")
	}
	return &unix.Timex{
		Modes:    unix.ADJ_OFFSET | unix.ADJ_STATUS | unix.ADJ_NANO | unix.ADJ_TIMECONST,
		Offset:   offsetNS,
		Status:   unix.STA_PLL | unix.STA_UNSYNC,
		Constant: constant,
	}, nil
}

// Set sets the clock and returns how far it was behind, in nanoseconds.
func (c Clock) Set(unixNS int64) (int64, error) {
	if unixNS <= 0 {
		return 0, wire.BadField("unix_ns", "not a time after 1970")
	}
	offset := unixNS - time.Now().UnixNano()
	if !c.Real || offset < int64(clockTolerance) && offset > -int64(clockTolerance) {
		return offset, nil
	}
	at := unix.NsecToTimespec(unixNS)
	return offset, unix.ClockSettime(unix.CLOCK_REALTIME, &at)
}
