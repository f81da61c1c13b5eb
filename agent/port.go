package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	portName     = "org.gaovm.agent.0"
	portTimeout  = 30 * time.Second
	maxHelloLine = 4096
	// The port hands out at most one 4 KiB page per read; HTTP/2 reads 9 byte heads. One buffer saves those calls.
	readBufferSize = 16 << 10
)

// hello is the JSON of the agent's first line: the readiness message.
type hello struct {
	Version       string  `json:"version"`
	ExecToReadyMS float64 `json:"exec_to_ready_ms"`
	BootMS        float64 `json:"boot_ms"`
	PID           int     `json:"pid"`
}

// findPort returns the device of the agent's port, "" when the kernel has not made it yet.
func findPort() string {
	names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err == nil && strings.TrimSpace(string(body)) == portName {
			return "/dev/" + filepath.Base(filepath.Dir(name))
		}
	}
	return ""
}

// openPort waits, through kernel uevents, for the port and opens it.
func openPort() (*os.File, error) {
	fd, err := openPortFD(openDevice)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), portName), nil
}

// openPortFD opens the port through open, which may refuse.
func openPortFD(open func(device string) (int, error)) (int, error) {
	var device string
	found := func() bool {
		device = findPort()
		return device != "" && unix.Access(device, unix.R_OK|unix.W_OK) == nil
	}
	if err := waitUevent(found, portTimeout); err != nil {
		return -1, fail(codeNotFound, "no virtio port named "+portName)
	}
	return open(device)
}

func openDevice(device string) (int, error) {
	return unix.Open(device, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// earlyPort is opened beside the rest of booting, so that the serving copy finds it open.
type earlyPort struct {
	mu    sync.Mutex
	fd    int
	taken bool
}

func openEarly() *earlyPort {
	p := &earlyPort{fd: -1}
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

// take returns the port, or -1 when it is not there yet; from then on it is not opened here any more, for only one
// process at a time can have it open.
func (p *earlyPort) take() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = true
	return p.fd
}

// channel is one connection over a port or a Unix socket, in the shape that net/http wants. Deadlines do
// nothing: the port has none, and the connection lives as long as the virtual machine.
type channel struct {
	rwc  io.ReadWriteCloser
	in   *bufio.Reader
	once sync.Once
	done chan struct{}
}

func newChannel(rwc io.ReadWriteCloser) *channel {
	return &channel{rwc: rwc, in: bufio.NewReaderSize(rwc, readBufferSize), done: make(chan struct{})}
}

func (c *channel) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *channel) Write(p []byte) (int, error) { return c.rwc.Write(p) }

func (c *channel) Close() error {
	var err error
	c.once.Do(func() {
		err = c.rwc.Close()
		close(c.done)
	})
	return err
}

func (c *channel) LocalAddr() net.Addr              { return channelAddr{} }
func (c *channel) RemoteAddr() net.Addr             { return channelAddr{} }
func (c *channel) SetDeadline(time.Time) error      { return nil }
func (c *channel) SetReadDeadline(time.Time) error  { return nil }
func (c *channel) SetWriteDeadline(time.Time) error { return nil }

type channelAddr struct{}

func (channelAddr) Network() string { return "virtio" }
func (channelAddr) String() string  { return portName }

// greet writes the readiness line, waits for the host's answer to exactly this nonce, and confirms it. An
// answer to another nonce gets the line again; all else belongs to an earlier connection and is discarded.
func (c *channel) greet(h hello) error {
	nonce, err := newNonce()
	if err != nil {
		return err
	}
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	first := []byte("GAOVM-AGENT/1 " + nonce + " " + string(body) + "\n")
	if _, err := c.rwc.Write(first); err != nil {
		return err
	}
	want := []byte("GAOVM-HOST/1 " + nonce + " ")
	for {
		line, err := c.readLine()
		if err != nil {
			return err
		}
		at := bytes.Index(line, want)
		if at < 0 {
			// A host that answers another nonce has not seen this line: it connected before the agent saw the
			// old connection end, or read bytes of an earlier one.
			if bytes.Contains(line, want[:len("GAOVM-HOST/1 ")]) {
				if _, err := c.rwc.Write(first); err != nil {
					return err
				}
			}
			continue
		}
		if answer := line[at+len(want):]; isNonce(answer) {
			_, err = c.rwc.Write([]byte("GAOVM-GO/1 " + string(answer) + "\n"))
			return err
		}
	}
}

// readLine returns the last maxHelloLine bytes before a line feed; more cannot be an answer.
func (c *channel) readLine() ([]byte, error) {
	var line []byte
	for {
		part, err := c.in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxHelloLine {
			line = append([]byte(nil), line[len(line)-maxHelloLine:]...)
		}
		if err == nil {
			return bytes.TrimSuffix(line, []byte("\n")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

func newNonce() (string, error) {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(raw[:]), nil
}

func isNonce(b []byte) bool {
	if len(b) != 32 {
		return false
	}
	for _, c := range b {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}
