package stream

import (
	"errors"
	"io"
	"os"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

// maxPipe is the most that a pipe of ours holds.
const maxPipe = 1 << 20

// FeedRaw writes what follows START to a file without looking for frames, until the host ends its
// side. When the file fails, FeedRaw reads and drops the rest.
func (s *Stream) FeedRaw(to *os.File) error {
	w, err := sys.NewRawFile(to)
	if err != nil {
		return err
	}
	if s.In.Left > 0 {
		return wire.Fail(wire.CodeBadRequest, "START is not read to its end")
	}
	buf := make([]byte, wire.FirstBuffer)
	failed := false
	for {
		n, err := s.In.R.Read(buf)
		if n > 0 && !failed {
			_, writeErr := w.Write(buf[:n])
			failed = writeErr != nil
			buf = wire.GrowBuffer(buf, n)
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// PumpRaw sends what it reads from a file without frames, until the file's end or its deadline.
func (s *Stream) PumpRaw(from *os.File) error {
	r, err := sys.NewRawFile(from)
	if err != nil {
		return err
	}
	buf := make([]byte, wire.FirstBuffer)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if sendErr := s.Out.SendRaw(buf[:n]); sendErr != nil {
				return sendErr
			}
			if buf = wire.GrowBuffer(buf, n); n > bulkRead && n < len(buf) {
				sys.Pause(gatherTime)
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return s.drainRaw(r, buf)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// drainRaw sends what is in the pipe now, and no more than fits into one.
func (s *Stream) drainRaw(r *sys.RawFile, buf []byte) error {
	for left := maxPipe; left > 0; {
		n := 0
		err := r.Raw.Control(func(fd uintptr) { n, _ = sys.RawTransfer(unix.SYS_READ, fd, buf) })
		if err != nil || n <= 0 {
			return err
		}
		if err := s.Out.SendRaw(buf[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}
