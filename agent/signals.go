package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// parseSignal takes a name with or without SIG, or a number.
func parseSignal(raw json.RawMessage) (syscall.Signal, error) {
	text := strings.Trim(string(raw), `"`)
	if number, err := strconv.Atoi(text); err == nil {
		if number < 1 || number > 64 {
			return 0, badField("signal", "a signal number is 1 to 64")
		}
		return syscall.Signal(number), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	return 0, badField("signal", "no such signal")
}

// signalCall signals the group of a running exec beside its stream, for when that stream's window is full of stdin.
func (a *agent) signalCall(r *http.Request) (any, error) {
	var body struct {
		PID    int             `json:"pid"`
		Signal json.RawMessage `json:"signal"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	sig, err := parseSignal(body.Signal)
	if err != nil {
		return nil, err
	}
	p := a.live.find(body.PID)
	if p == nil {
		return nil, fail(codeNotFound, "no running exec has this pid")
	}
	if err := p.signal(sig); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}
