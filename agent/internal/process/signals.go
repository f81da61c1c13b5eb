package process

import (
	"encoding/json"
	"strconv"
	"strings"
	"syscall"

	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// ParseSignal reads a signal: its name, with or without SIG, or its number.
func ParseSignal(raw json.RawMessage) (syscall.Signal, error) {
	text := strings.Trim(string(raw), `"`)
	if number, err := strconv.Atoi(text); err == nil {
		if number < 1 || number > 64 {
			return 0, wire.BadField("signal", "a signal number is 1 to 64")
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
	return 0, wire.BadField("signal", "no such signal")
}
