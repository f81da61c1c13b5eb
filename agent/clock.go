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

// clock sets the guest's clock and returns how far it was behind.
func (a *agent) clock(r *http.Request) (any, error) {
	var body struct {
		UnixNS int64 `json:"unix_ns"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	offset, err := a.setClock(body.UnixNS)
	if err != nil {
		return nil, err
	}
	return map[string]int64{"offset_ns": offset}, nil
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
