package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A read larger than bulkRead that does not fill its buffer has emptied the pipe of a busy writer. Waiting a moment
// lets a whole buffer gather: one large write to the port instead of many small ones.
const (
	bulkRead   = 4 << 10
	gatherTime = 500 * time.Microsecond
)

// stream is one full-duplex call: frames in, frames out.
type stream struct {
	ctx context.Context
	in  frameReader
	out frameWriter
}

// stream runs a handler of frames. A failure that it returns is sent as the last frame.
func (a *agent) stream(w http.ResponseWriter, r *http.Request, handle func(*stream) error) {
	w.Header().Set("Content-Type", "application/octet-stream")
	s := &stream{ctx: r.Context(), in: frameReader{r: r.Body}}
	s.out.w, s.out.flush = w, w.(http.Flusher).Flush
	if err := handle(s); err != nil {
		_ = s.out.sendJSON(frameError, asWireError(err))
	}
}

// start reads the first frame, which must be the one START frame.
func (s *stream) start(into any) error {
	kind, _, err := s.in.next()
	if err != nil {
		return fail(codeBadRequest, "the stream ended before START")
	}
	if kind != frameStart {
		return fail(codeBadRequest, "the first frame is not START")
	}
	return s.in.decode(maxStartFrame, into)
}

// feed takes the frames after START: DATA goes to w, EOF calls end, others go to control. It returns nil when
// the host has ended its side, and the protocol's error when it broke the rules. A writer that fails
// is not told about again: the rest of the data is read and dropped, as a pipe without a reader would.
func (s *stream) feed(w io.Writer, end func(), control func(byte) error) error {
	var buf []byte
	ended := false
	for {
		kind, length, err := s.in.next()
		switch {
		case err == io.EOF:
			if !ended {
				end()
			}
			return nil
		case err != nil:
			return asFrameError(err)
		case kind == frameData && !ended:
			if buf == nil || len(buf) < copyBufferSize && length > len(buf) {
				buf = make([]byte, min(max(length, 512), copyBufferSize))
			}
			if err := s.drain(&w, buf); err != nil {
				return asFrameError(err)
			}
		case kind == frameEOF && length == 0 && !ended:
			ended = true
			end()
		case control != nil && (kind == frameSignal || kind == frameResize):
			if err := control(kind); err != nil {
				return asFrameError(err)
			}
		default:
			return fail(codeBadRequest, "unexpected frame")
		}
	}
}

func (s *stream) drain(w *io.Writer, buf []byte) error {
	for s.in.left > 0 {
		n, err := s.in.Read(buf)
		if err != nil {
			return err
		}
		if _, err := (*w).Write(buf[:n]); err != nil {
			*w = io.Discard
		}
	}
	return nil
}

func asFrameError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(codeBadRequest, "the stream ended inside a frame")
	}
	return err
}

// pump sends what r holds, one frame per read, until its end. After a deadline on r it still sends the bytes that
// were in the pipe at that moment.
func (s *stream) pump(kind byte, file *os.File) error {
	r, err := newRawFile(file)
	if err != nil {
		return err
	}
	buf := make([]byte, firstBuffer)
	for {
		n, err := r.Read(buf[frameHeadSize:])
		if n > 0 {
			if sendErr := s.out.send(kind, buf[:frameHeadSize+n]); sendErr != nil {
				return sendErr
			}
			if buf = growBuffer(buf, n); n > bulkRead && n < len(buf)-frameHeadSize {
				pause(gatherTime)
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

func (s *stream) drainWritten(kind byte, r *rawFile, buf []byte) error {
	left := 0
	if err := r.raw.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); err != nil {
		return err
	}
	left = max(left, copyBufferSize) // a PTY does not count what is still on its way through the line discipline
	for left > 0 {
		n := 0
		err := r.raw.Control(func(fd uintptr) {
			n, _ = rawTransfer(unix.SYS_READ, fd, buf[frameHeadSize:min(len(buf), frameHeadSize+left)])
		})
		if err != nil || n <= 0 {
			return nil
		}
		if err := s.out.send(kind, buf[:frameHeadSize+n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}
