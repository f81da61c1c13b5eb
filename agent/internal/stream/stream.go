// Package stream carries one full-duplex call of frames between the host and files of the guest.
package stream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// A read of more than bulkRead that does not fill its buffer has emptied the pipe of a busy writer.
// Pump then waits for gatherTime, so that a whole buffer gathers: one large write to the port
// instead of many small ones.
const (
	bulkRead   = 4 << 10
	gatherTime = 500 * time.Microsecond
)

// Stream is one full-duplex call: frames in, frames out.
type Stream struct {
	Ctx context.Context
	In  wire.FrameReader
	Out wire.FrameWriter
}

// Serve runs a handler of frames and sends the error that it returns as the last frame.
func Serve(w http.ResponseWriter, r *http.Request, handle func(*Stream) error) {
	w.Header().Set("Content-Type", "application/octet-stream")
	s := &Stream{Ctx: r.Context(), In: wire.FrameReader{R: r.Body}}
	s.Out.W, s.Out.Flush = w, w.(http.Flusher).Flush
	if err := handle(s); err != nil {
		_ = s.Out.SendJSON(wire.FrameError, wire.AsError(err))
	}
}

// Start reads the first frame, which must be START.
func (s *Stream) Start(into any) error {
	kind, _, err := s.In.Next()
	if err != nil {
		return wire.Fail(wire.CodeBadRequest, "the stream ended before START")
	}
	if kind != wire.FrameStart {
		return wire.Fail(wire.CodeBadRequest, "the first frame is not START")
	}
	return s.In.Decode(wire.MaxStartFrame, into)
}

// Feed takes the frames after START: it writes DATA to w, calls end at EOF, and gives SIGNAL and
// RESIZE to control. It returns nil when the host has ended its side, and an error when the host
// breaks the protocol. When w fails, Feed reads and drops the rest of the data.
func (s *Stream) Feed(w io.Writer, end func(), control func(byte) error) error {
	var buf []byte
	ended := false
	for {
		kind, length, err := s.In.Next()
		switch {
		case err == io.EOF:
			if !ended {
				end()
			}
			return nil
		case err != nil:
			return AsFrameError(err)
		case kind == wire.FrameData && !ended:
			if buf == nil || len(buf) < wire.CopyBufferSize && length > len(buf) {
				buf = make([]byte, min(max(length, 512), wire.CopyBufferSize))
			}
			if err := s.drain(&w, buf); err != nil {
				return AsFrameError(err)
			}
		case kind == wire.FrameEOF && length == 0 && !ended:
			ended = true
			end()
		case control != nil && (kind == wire.FrameSignal || kind == wire.FrameResize):
			if err := control(kind); err != nil {
				return AsFrameError(err)
			}
		default:
			return wire.Fail(wire.CodeBadRequest, "unexpected frame")
		}
	}
}

func (s *Stream) drain(w *io.Writer, buf []byte) error {
	for s.In.Left > 0 {
		n, err := s.In.Read(buf)
		if err != nil {
			return err
		}
		if _, err := (*w).Write(buf[:n]); err != nil {
			*w = io.Discard
		}
	}
	return nil
}

// AsFrameError makes the end of the stream inside a frame an error of the host.
func AsFrameError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return wire.Fail(wire.CodeBadRequest, "the stream ended inside a frame")
	}
	return err
}

// PumpConn sends what it reads from a socket, one frame per read, until the peer has ended its
// direction. It does not wait for more as Pump does: a socket's buffer is larger than a pipe's, and
// fills by itself while a frame is written.
func (s *Stream) PumpConn(kind byte, r *sys.RawFile) error {
	buf := make([]byte, wire.FirstBuffer)
	for {
		n, err := r.Read(buf[wire.FrameHeadSize:])
		if n > 0 {
			if sendErr := s.Out.Send(kind, buf[:wire.FrameHeadSize+n]); sendErr != nil {
				return sendErr
			}
			buf = wire.GrowBuffer(buf, n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Pump sends what it reads from a file, one frame per read, until the file's end. When the file's
// deadline passes, Pump still sends the bytes that are in the pipe at that moment.
func (s *Stream) Pump(kind byte, file *os.File) error {
	r, err := sys.NewRawFile(file)
	if err != nil {
		return err
	}
	buf := make([]byte, wire.FirstBuffer)
	for {
		n, err := r.Read(buf[wire.FrameHeadSize:])
		if n > 0 {
			if sendErr := s.Out.Send(kind, buf[:wire.FrameHeadSize+n]); sendErr != nil {
				return sendErr
			}
			if buf = wire.GrowBuffer(buf, n); n > bulkRead && n < len(buf)-wire.FrameHeadSize {
				sys.Pause(gatherTime)
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return s.drainWritten(kind, r, buf)
		case err == io.EOF, errors.Is(err, unix.EIO): // EIO: the last user of a PTY is gone
			return nil
		case err != nil:
			return err
		}
	}
}

func (s *Stream) drainWritten(kind byte, r *sys.RawFile, buf []byte) error {
	left := 0
	if err := r.Raw.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); err != nil {
		return err
	}
	left = max(left, wire.CopyBufferSize) // a PTY does not count what is still on its way through the line discipline
	for left > 0 {
		n := 0
		err := r.Raw.Control(func(fd uintptr) {
			n, _ = sys.RawTransfer(unix.SYS_READ, fd, buf[wire.FrameHeadSize:min(len(buf), wire.FrameHeadSize+left)])
		})
		if err != nil || n <= 0 {
			return nil
		}
		if err := s.Out.Send(kind, buf[:wire.FrameHeadSize+n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}
