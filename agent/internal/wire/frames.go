package wire

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"sync"
)

// The frames of a stream: type u8, length u32 big endian, payload.
const (
	FrameStart  = 0x01
	FrameData   = 0x02
	FrameEOF    = 0x03
	FrameSignal = 0x04
	FrameResize = 0x05

	FrameStarted  = 0x11
	FrameOut      = 0x12
	FrameStderr   = 0x13
	FrameExit     = 0x14
	FrameError    = 0x15
	FrameOutEOF   = 0x16
	FrameHeadSize = 5
	MaxFrame      = 1 << 20
	MaxStartFrame = MaxFrame
	MaxSmallFrame = 4096    // SIGNAL and RESIZE
	FirstBuffer   = 8 << 10 // most streams carry little: a buffer starts small and grows when a read fills it
	http2HeadSize = 9
	// With HTTP/2's own head a full buffer is two writes of 32 KiB, the most that a virtio port
	// takes at once. Larger buffers were slower under TCG, because of the processor's caches.
	largestBuffer  = 64<<10 - http2HeadSize
	CopyBufferSize = 64 << 10
)

// FrameReader reads the frames of a request body. It never holds more than the caller's buffer.
type FrameReader struct {
	R    io.Reader
	head [FrameHeadSize]byte
	Left int
}

// Next skips the rest of the current frame and reads the next head. It returns io.EOF when the body
// ends between frames.
func (f *FrameReader) Next() (byte, int, error) {
	if f.Left > 0 {
		if _, err := io.CopyN(io.Discard, f.R, int64(f.Left)); err != nil {
			return 0, 0, io.ErrUnexpectedEOF
		}
		f.Left = 0
	}
	if _, err := io.ReadFull(f.R, f.head[:]); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint32(f.head[1:])
	if length > MaxFrame {
		return 0, 0, Fail(CodeBadRequest, "a frame is longer than 1 MiB")
	}
	f.Left = int(length)
	return f.head[0], f.Left, nil
}

// Read reads the current frame's payload and returns io.EOF at its end.
func (f *FrameReader) Read(p []byte) (int, error) {
	if f.Left == 0 {
		return 0, io.EOF
	}
	if len(p) > f.Left {
		p = p[:f.Left]
	}
	n, err := f.R.Read(p)
	f.Left -= n
	if err == io.EOF && f.Left > 0 {
		err = io.ErrUnexpectedEOF
	} else if err == io.EOF && n > 0 {
		err = nil
	}
	return n, err
}

// Decode reads the current payload, at most limit bytes, as one strict JSON object.
func (f *FrameReader) Decode(limit int, into any) error {
	if f.Left > limit {
		return Fail(CodeBadRequest, "a control frame is too long")
	}
	body := make([]byte, f.Left)
	if _, err := io.ReadFull(f, body); err != nil {
		return io.ErrUnexpectedEOF
	}
	return DecodeJSON(body, into)
}

// FrameWriter writes whole frames from several goroutines.
type FrameWriter struct {
	mu    sync.Mutex
	W     io.Writer
	Flush func()
	ended bool
}

// Send sends buf[FrameHeadSize:] as one frame. The caller reserves the first bytes of buf: Send
// writes the head there, so that head and payload leave in one Write. It sends nothing after an
// EXIT or ERROR frame.
func (f *FrameWriter) Send(kind byte, buf []byte) error {
	buf[0] = kind
	binary.BigEndian.PutUint32(buf[1:], uint32(len(buf)-FrameHeadSize))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return io.ErrClosedPipe
	}
	f.ended = kind == FrameExit || kind == FrameError
	if _, err := f.W.Write(buf); err != nil {
		return err
	}
	// The last frame leaves together with the end of the stream, as soon as the handler returns.
	if !f.ended {
		f.Flush()
	}
	return nil
}

// SendRaw sends bytes without a frame around them, for a stream that has frames at its start only.
func (f *FrameWriter) SendRaw(data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return io.ErrClosedPipe
	}
	if _, err := f.W.Write(data); err != nil {
		return err
	}
	f.Flush()
	return nil
}

// SendJSON sends a frame with a JSON value.
func (f *FrameWriter) SendJSON(kind byte, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return f.Send(kind, append(make([]byte, FrameHeadSize, FrameHeadSize+len(body)), body...))
}

// SendEmptyObject sends a frame with an empty JSON object.
func (f *FrameWriter) SendEmptyObject(kind byte) error {
	return f.SendJSON(kind, struct{}{})
}

// SendEmpty sends a frame without payload.
func (f *FrameWriter) SendEmpty(kind byte) error {
	var head [FrameHeadSize]byte
	return f.Send(kind, head[:])
}

// GrowBuffer returns the largest buffer in place of one that a read has just filled, else the same
// buffer.
func GrowBuffer(buf []byte, read int) []byte {
	if read+FrameHeadSize < len(buf) || len(buf) >= largestBuffer {
		return buf
	}
	return make([]byte, largestBuffer)
}
