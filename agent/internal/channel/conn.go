package channel

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxHelloLine = 4096
	// The port gives at most one page of 4 KiB per read, and HTTP/2 reads heads of 9 bytes. This
	// buffer saves calls.
	readBufferSize = 16 << 10
)

// Hello is the JSON object in the agent's first line, which says that it is ready.
type Hello struct {
	Version       string  `json:"version"`
	ExecToReadyMS float64 `json:"exec_to_ready_ms"`
	BootMS        float64 `json:"boot_ms"`
	PID           int     `json:"pid"`
}

// Conn is one connection over a port or a Unix socket, as a net.Conn for net/http. Its deadlines do
// nothing: a port has none, and the connection lives as long as the virtual machine.
type Conn struct {
	rwc  io.ReadWriteCloser
	in   *bufio.Reader
	once sync.Once
	Done chan struct{}
}

// New makes a connection that has not greeted the host yet.
func New(rwc io.ReadWriteCloser) *Conn {
	return &Conn{rwc: rwc, in: bufio.NewReaderSize(rwc, readBufferSize), Done: make(chan struct{})}
}

func (c *Conn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *Conn) Write(p []byte) (int, error) { return c.rwc.Write(p) }

// Close closes the port or the socket. Calling it again does nothing.
func (c *Conn) Close() error {
	var err error
	c.once.Do(func() {
		err = c.rwc.Close()
		close(c.Done)
	})
	return err
}

func (c *Conn) LocalAddr() net.Addr              { return Address{} }
func (c *Conn) RemoteAddr() net.Addr             { return Address{} }
func (c *Conn) SetDeadline(time.Time) error      { return nil }
func (c *Conn) SetReadDeadline(time.Time) error  { return nil }
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// Address is both addresses of a connection: a port has none.
type Address struct{}

func (Address) Network() string { return "virtio" }
func (Address) String() string  { return PortName }

// Greet writes the first line, waits for the host's answer to exactly this nonce, and confirms it.
// To an answer to another nonce it writes the first line again; it drops everything else, which
// belongs to an earlier connection.
func (c *Conn) Greet(h Hello) error {
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
			// A host that answers another nonce has not seen this line: it connected before the
			// agent saw the old connection end, or it read bytes of an earlier connection.
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

// readLine returns the last maxHelloLine bytes before a line feed: no answer is longer.
func (c *Conn) readLine() ([]byte, error) {
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
