package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dialTimeout = 10 * time.Second
	maxDatagram = 65507
)

type tunnelStart struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

// halfCloser is a connection whose two directions end apart.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// tunnel connects to an address inside the guest and carries both directions until both have ended.
func (a *agent) tunnel(s *stream) error {
	var req tunnelStart
	if err := s.start(&req); err != nil {
		return err
	}
	if req.Network != "tcp" && req.Network != "unix" && req.Network != "udp" {
		return badField("network", "tcp, unix or udp")
	}
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	conn, err := new(net.Dialer).DialContext(ctx, req.Network, req.Address)
	cancel()
	if err != nil {
		return fail(codeUnreachable, err.Error())
	}
	defer conn.Close()
	if err := s.out.sendEmptyObject(frameStarted); err != nil {
		return err
	}
	var once sync.Once
	var broken error
	// A reset or a broken frame ends both directions: closing the connection wakes both.
	abort := func(err error) { once.Do(func() { broken = err; conn.Close() }) }
	defer context.AfterFunc(s.ctx, func() { abort(s.ctx.Err()) })()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := s.fromHost(conn); err != nil {
			abort(err)
		}
	}()
	if err := s.toHost(conn); err != nil {
		return err // at once: the host may not know yet that its side is of no use any more
	}
	<-sent
	return broken
}

// fromHost writes to the guest's side; EOF closes only that direction. A datagram socket has no such half: EOF
// ends it.
func (s *stream) fromHost(conn net.Conn) error {
	half, ok := conn.(halfCloser)
	if !ok {
		return s.feedDatagrams(conn)
	}
	return s.feed(conn, func() { _ = half.CloseWrite() }, nil)
}

// feedDatagrams makes one datagram of each DATA frame.
func (s *stream) feedDatagrams(conn net.Conn) error {
	defer conn.Close()
	buf := make([]byte, maxDatagram)
	for {
		kind, length, err := s.in.next()
		switch {
		case err == io.EOF, err == nil && kind == frameEOF && length == 0:
			return nil
		case err != nil:
			return asFrameError(err)
		case kind != frameData || length > maxDatagram:
			return fail(codeBadRequest, "unexpected frame")
		}
		if _, err := io.ReadFull(&s.in, buf[:length]); err != nil {
			return asFrameError(io.ErrUnexpectedEOF)
		}
		_, _ = conn.Write(buf[:length]) // a refused datagram is lost, as datagrams may be
	}
}

// toHost sends what the guest's side writes, then EOF.
func (s *stream) toHost(conn net.Conn) error {
	_, stream := conn.(halfCloser)
	buf := make([]byte, firstBuffer)
	if !stream {
		buf = make([]byte, frameHeadSize+maxDatagram)
	}
	for {
		n, err := conn.Read(buf[frameHeadSize:])
		if n > 0 || err == nil && !stream {
			if err := s.out.send(frameOut, buf[:frameHeadSize+n]); err != nil {
				return err
			}
			if stream {
				buf = growBuffer(buf, n)
			}
		}
		switch {
		case err == nil, !stream && errors.Is(err, unix.ECONNREFUSED):
		case err == io.EOF, errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrClosed):
			return s.out.sendEmpty(frameOutEOF)
		default:
			return fail(codeReset, err.Error())
		}
	}
}

func (f *frameWriter) sendEmptyObject(kind byte) error {
	return f.sendJSON(kind, struct{}{})
}
