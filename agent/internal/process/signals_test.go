package process

import (
	"encoding/json"
	"syscall"
	"testing"
)

func TestASignalIsANameOrANumber(t *testing.T) {
	for text, want := range map[string]syscall.Signal{
		`"TERM"`: syscall.SIGTERM, `"SIGKILL"`: syscall.SIGKILL, `"hup"`: syscall.SIGHUP, `9`: syscall.SIGKILL, `"64"`: 64,
	} {
		if got, err := ParseSignal(json.RawMessage(text)); err != nil || got != want {
			t.Errorf("%s: got %d %v", text, got, err)
		}
	}
	for _, bad := range []string{`"NONE"`, `0`, `65`, `-1`, `""`, `null`, ``} {
		if got, err := ParseSignal(json.RawMessage(bad)); err == nil {
			t.Errorf("%s: got %d", bad, got)
		}
	}
}
