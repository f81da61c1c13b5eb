package main

import (
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// clockTolerance: a smaller difference is what the message's own way takes, and setting the clock would make it worse.
const clockTolerance = 20 * time.Millisecond

const (
	adjSetOffset    = 0x0100 // ADJ_SETOFFSET of include/uapi/linux/timex.h
	maxSlew         = 500 * time.Millisecond
	maxTimeConstant = 10
)

// startEnvironment carries, from process 1 to the serving copy, the CLOCK_BOOTTIME of the copy's exec.
const startEnvironment = "GAOVM_STARTED_NS"

func bootNanoseconds() int64 {
	var at unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &at) != nil {
		return 0
	}
	return at.Nano()
}

func bootMilliseconds() float64 { return float64(bootNanoseconds()/1000) / 1000 }

// processStart stands in for the exec's own time where nobody passed that on.
var processStart = bootNanoseconds()

func startedAt() int64 {
	if at, err := strconv.ParseInt(os.Getenv(startEnvironment), 10, 64); err == nil {
		return at
	}
	return processStart
}

func millisecondsSince(start int64) float64 { return float64((bootNanoseconds()-start)/1000) / 1000 }

// now answers with the guest's time: one half of measuring how far it is from the host's.
func (a *agent) now() (any, error) {
	return map[string]int64{"unix_ns": time.Now().UnixNano()}, nil
}

// clock sets the guest's clock and returns how far it was behind; with an offset it adds that to the clock, at once or
// little by little.
func (a *agent) clock(r *http.Request) (any, error) {
	var body struct {
		UnixNS   int64  `json:"unix_ns"`
		OffsetNS *int64 `json:"offset_ns"`
		Step     bool   `json:"step"`
		Constant int64  `json:"constant"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.OffsetNS != nil {
		change, err := clockChange(*body.OffsetNS, body.Step, body.Constant)
		if err == nil && a.real {
			_, err = unix.Adjtimex(change)
		}
		return map[string]int64{"offset_ns": *body.OffsetNS}, err
	}
	offset, err := a.setClock(body.UnixNS)
	if err != nil {
		return nil, err
	}
	return map[string]int64{"offset_ns": offset}, nil
}

// clockChange is what adjtimex(2) is asked for. A step is relative, so it does not matter when it happens. Little by little
// the kernel's own loop does it, which learns how fast this clock runs; the status stays "unsynchronized", for the
// kernel would otherwise write the time into the machine's clock chip, which is the host's word.
func clockChange(offsetNS int64, step bool, constant int64) (*unix.Timex, error) {
	if constant < 0 || constant > maxTimeConstant {
		return nil, badField("constant", "0 to 10")
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
		return nil, badField("offset_ns", "more than half a second, and no step")
	}
	return &unix.Timex{
		Modes:    unix.ADJ_OFFSET | unix.ADJ_STATUS | unix.ADJ_NANO | unix.ADJ_TIMECONST,
		Offset:   offsetNS,
		Status:   unix.STA_PLL | unix.STA_UNSYNC,
		Constant: constant,
	}, nil
}

func (a *agent) setClock(unixNS int64) (int64, error) {
	if unixNS <= 0 {
		return 0, badField("unix_ns", "not a time after 1970")
	}
	offset := unixNS - time.Now().UnixNano()
	if !a.real || offset < int64(clockTolerance) && offset > -int64(clockTolerance) {
		return offset, nil
	}
	at := unix.NsecToTimespec(unixNS)
	return offset, unix.ClockSettime(unix.CLOCK_REALTIME, &at)
}
