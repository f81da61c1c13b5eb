package ports

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel checks each program as it is loaded; nothing is attached.
func TestTheKernelAcceptsThePrograms(t *testing.T) {
	ring, err := newRing()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		t.Skip("no right to load programs, or no kernel for them: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ring)
	for _, each := range []struct {
		name        string
		kind, place uint32
		program     []instruction
	}{
		{"listen", progSockOps, attachSockOps, onListen(ring)},
		{"release", progCgroupSock, attachSockRelease, onRelease(ring)},
		{"bind", progCgroupSock, attachPostBind4, onBind(ring)},
		{"bind of IPv6", progCgroupSock, attachPostBind6, onBind(ring)},
	} {
		loaded, err := load(each.kind, each.place, each.program)
		if err != nil {
			t.Errorf("%s: %v", each.name, err)
			continue
		}
		unix.Close(loaded)
	}
}

func TestEveryJumpStaysInTheProgram(t *testing.T) {
	for name, program := range map[string][]instruction{
		"listen": onListen(3), "release": onRelease(3), "bind": onBind(3),
	} {
		for at, each := range program {
			switch each.code {
			case opJump, opJumpEqual, opJumpNotEqual:
				target := at + 1 + int(each.off)
				if target <= at || target >= len(program) {
					t.Fatalf("%s: instruction %d jumps to %d of %d", name, at, target, len(program))
				}
				// Only to a store (announce), a load or a set that lets the operation go on.
				if program[target-1].code == opLoadMap {
					t.Fatalf("%s: instruction %d jumps into a pair", name, at)
				}
			}
		}
	}
}
