package ports

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"gaovm/agent/internal/stream"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	// Connections that the guest's programs have made and the host has not taken.
	maxWaiting = 128
	// The host takes a connection at once, or not at all.
	takeTimeout = 10 * time.Second
	socketMode  = 0o600
)

// offerStart is the START frame of POST /v1/offer: where to listen, and for a socket its owner.
type offerStart struct {
	Network string `json:"network"`
	Address string `json:"address"`
	UID     int    `json:"uid"`
	GID     int    `json:"gid"`
}

// accepted is one frame of the answer: a connection that the host may take by its id.
type accepted struct {
	ID string `json:"id"`
}

// Offer serves the stream of one end of the host's in the guest: it listens until the host ends the
// stream, and tells the host of each connection.
func (o *Own) Offer(s *stream.Stream) error {
	var req offerStart
	if err := s.Start(&req); err != nil {
		return err
	}
	listener, err := o.listen(req)
	if err != nil {
		return wire.Fail(wire.CodeConflict, err.Error())
	}
	defer context.AfterFunc(s.Ctx, func() { listener.Close() })()
	defer listener.Close()
	if entry, ok := listenerOf(listener.Addr()); ok {
		o.mark(entry, true)
		defer o.mark(entry, false)
	}
	if err := s.Out.SendEmptyObject(wire.FrameStarted); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			time.Sleep(lookPause) // out of descriptors: give connections time to end
			continue
		}
		id, ok := o.hold(conn)
		if !ok {
			conn.Close()
			continue
		}
		if err := s.Out.SendJSON(wire.FrameOut, accepted{id}); err != nil {
			return err
		}
	}
}

func (o *Own) listen(req offerStart) (net.Listener, error) {
	switch req.Network {
	case "tcp":
		if address, err := netip.ParseAddrPort(req.Address); err != nil || !address.Addr().IsLoopback() {
			return nil, wire.BadField("address", "a loopback address and a port")
		}
		return net.Listen("tcp", req.Address)
	case "unix":
		return listenUnix(req)
	}
	return nil, wire.BadField("network", "tcp or unix")
}

// listenUnix makes a socket file for its owner. It takes the place of a socket without a server,
// as an earlier boot leaves one, and of nothing else.
func listenUnix(req offerStart) (net.Listener, error) {
	if found, err := os.Lstat(req.Address); err == nil && found.Mode()&os.ModeSocket != 0 {
		conn, err := net.DialTimeout("unix", req.Address, time.Second)
		if err == nil {
			conn.Close()
		} else if errors.Is(err, unix.ECONNREFUSED) {
			_ = os.Remove(req.Address)
		}
	}
	old := unix.Umask(0o777 &^ socketMode)
	listener, err := net.Listen("unix", req.Address)
	unix.Umask(old)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := os.Lchown(req.Address, req.UID, req.GID); err != nil {
			listener.Close()
			return nil, err
		}
	}
	return listener, nil
}

func listenerOf(address net.Addr) (Listener, bool) {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return Listener{}, false
	}
	return Listener{Proto: "tcp", Address: tcp.IP.String(), Port: uint16(tcp.Port)}, true
}

func (o *Own) mark(entry Listener, on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if on {
		o.listeners[entry] = true
	} else {
		delete(o.listeners, entry)
	}
}

// hold keeps a connection until the host takes it; false: too many wait already.
func (o *Own) hold(conn net.Conn) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) >= maxWaiting {
		return "", false
	}
	o.next++
	id := strconv.FormatUint(o.next, 10)
	o.waiting[id] = conn
	time.AfterFunc(takeTimeout, func() {
		if left := o.take(id); left != nil {
			left.Close()
		}
	})
	return id, true
}

// take returns a waiting connection, which is the caller's now; nil: there is none.
func (o *Own) take(id string) net.Conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	conn := o.waiting[id]
	delete(o.waiting, id)
	return conn
}
