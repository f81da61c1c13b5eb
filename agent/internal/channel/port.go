// Package channel opens the agent's port and greets the host, and makes a net.Conn of the result.
package channel

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// PortName is the name of the agent's virtio port.
const PortName = "org.gaovm.agent.0"

const portTimeout = 30 * time.Second

// findPort returns the device of the agent's port, or "" when the kernel has not made it yet.
func findPort() string {
	names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err == nil && strings.TrimSpace(string(body)) == PortName {
			return "/dev/" + filepath.Base(filepath.Dir(name))
		}
	}
	return ""
}

// Open waits for the kernel's event that the port is there, and opens it.
func Open() (*os.File, error) {
	fd, err := openPortFD(openDevice)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), PortName), nil
}

// openPortFD waits for the port and calls open with its device.
func openPortFD(open func(device string) (int, error)) (int, error) {
	var device string
	found := func() bool {
		device = findPort()
		return device != "" && unix.Access(device, unix.R_OK|unix.W_OK) == nil
	}
	if err := sys.WaitUevent(found, portTimeout); err != nil {
		return -1, wire.Fail(wire.CodeNotFound, "no virtio port named "+PortName)
	}
	return open(device)
}

func openDevice(device string) (int, error) {
	return unix.Open(device, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// EarlyPort opens the port beside the rest of booting, so that the serving copy finds it open.
type EarlyPort struct {
	mu    sync.Mutex
	fd    int
	taken bool
}

// OpenEarly begins to open the port.
func OpenEarly() *EarlyPort {
	p := &EarlyPort{fd: -1}
	go func() {
		_, _ = openPortFD(func(device string) (int, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.taken {
				return -1, os.ErrClosed
			}
			var err error
			if p.fd, err = openDevice(device); err != nil {
				p.fd = -1
			}
			return p.fd, err
		})
	}()
	return p
}

// Take returns the port, or -1 when it is not open yet. From then on EarlyPort does not open it any
// more: only one process at a time can have it open.
func (p *EarlyPort) Take() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = true
	return p.fd
}
