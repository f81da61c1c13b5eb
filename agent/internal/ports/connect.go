// Package ports connects the host to ports of the guest, and lists those on which somebody listens.
package ports

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"gaovm/agent/internal/stream"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	dialTimeout = 10 * time.Second
	maxDatagram = 65507
)

type start struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

// halfCloser is a connection whose two directions end independently.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// Connect serves the stream of one connection: it connects to an address inside the guest, or takes
// a connection of Offer, and carries both directions until both have ended.
func (o *Own) Connect(s *stream.Stream) error {
	var req start
	if err := s.Start(&req); err != nil {
		return err
	}
	conn, err := o.open(s.Ctx, req)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := s.Out.SendEmptyObject(wire.FrameStarted); err != nil {
		return err
	}
	var once sync.Once
	var broken error
	// A reset or a broken frame ends both directions: closing the connection wakes both.
	abort := func(err error) { once.Do(func() { broken = err; conn.Close() }) }
	defer context.AfterFunc(s.Ctx, func() { abort(s.Ctx.Err()) })()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := fromHost(s, conn); err != nil {
			abort(err)
		}
	}()
	if err := toHost(s, conn); err != nil {
		return err // at once: the host may not know yet that the connection is broken
	}
	<-sent
	return broken
}

func (o *Own) open(ctx context.Context, req start) (net.Conn, error) {
	switch req.Network {
	case "accepted":
		if conn := o.take(req.Address); conn != nil {
			return conn, nil
		}
		return nil, wire.Fail(wire.CodeNotFound, "no such connection waits")
	case "tcp", "unix", "udp":
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, req.Network, req.Address)
		if err != nil {
			return nil, wire.Fail(wire.CodeUnreachable, err.Error())
		}
		return conn, nil
	}
	return nil, wire.BadField("network", "tcp, unix, udp or accepted")
}

// fromHost writes the host's data to the connection; EOF closes this direction only. A datagram
// socket has no directions: EOF ends it.
func fromHost(s *stream.Stream, conn net.Conn) error {
	half, ok := conn.(halfCloser)
	if !ok {
		return feedDatagrams(s, conn)
	}
	return s.Feed(conn, func() { _ = half.CloseWrite() }, nil)
}

// feedDatagrams sends each DATA frame as one datagram.
func feedDatagrams(s *stream.Stream, conn net.Conn) error {
	defer conn.Close()
	buf := make([]byte, maxDatagram)
	for {
		kind, length, err := s.In.Next()
		switch {
		case err == io.EOF, err == nil && kind == wire.FrameEOF && length == 0:
			return nil
		case err != nil:
			return stream.AsFrameError(err)
		case kind != wire.FrameData || length > maxDatagram:
			return wire.Fail(wire.CodeBadRequest, "unexpected frame")
		}
		if _, err := io.ReadFull(&s.In, buf[:length]); err != nil {
			return stream.AsFrameError(io.ErrUnexpectedEOF)
		}
		_, _ = conn.Write(buf[:length]) // datagrams may get lost
	}
}

// toHost sends what the guest's peer writes, then EOF.
func toHost(s *stream.Stream, conn net.Conn) error {
	if _, ok := conn.(halfCloser); !ok {
		return datagramsToHost(s, conn)
	}
	raw, err := sys.NewRawConn(conn.(syscall.Conn))
	if err != nil {
		return err
	}
	if err := s.PumpConn(wire.FrameOut, raw); err != nil && !closed(err) {
		return wire.Fail(wire.CodeReset, err.Error())
	}
	return s.Out.SendEmpty(wire.FrameOutEOF)
}

// datagramsToHost sends each datagram as one frame.
func datagramsToHost(s *stream.Stream, conn net.Conn) error {
	buf := make([]byte, wire.FrameHeadSize+maxDatagram)
	for {
		n, err := conn.Read(buf[wire.FrameHeadSize:])
		switch {
		case err == nil:
			if err := s.Out.Send(wire.FrameOut, buf[:wire.FrameHeadSize+n]); err != nil {
				return err
			}
		case errors.Is(err, unix.ECONNREFUSED): // nobody listens now; somebody may later
		case closed(err):
			return s.Out.SendEmpty(wire.FrameOutEOF)
		default:
			return wire.Fail(wire.CodeReset, err.Error())
		}
	}
}

// closed tells whether a socket was closed on this side.
func closed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed)
}
