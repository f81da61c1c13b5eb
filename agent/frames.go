package main

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"sync"
)

// The frames of a stream: type u8, length u32 big endian, payload.
const (
	frameStart  = 0x01
	frameData   = 0x02
	frameEOF    = 0x03
	frameSignal = 0x04
	frameResize = 0x05

	frameStarted  = 0x11
	frameOut      = 0x12
	frameStderr   = 0x13
	frameExit     = 0x14
	frameError    = 0x15
	frameOutEOF   = 0x16
	frameHeadSize = 5
	maxFrame      = 1 << 20
	maxStartFrame = maxFrame
	maxSmallFrame = 4096    // SIGNAL and RESIZE
	firstBuffer   = 8 << 10 // most streams carry little: start small, and grow as soon as a read fills the buffer
	http2HeadSize = 9
	// With HTTP/2's own head a full buffer is two writes of 32 KiB, the most that a virtio port takes at once. Larger ones
	// were slower under TCG, by the caches.
	largestBuffer  = 64<<10 - http2HeadSize
	copyBufferSize = 64 << 10
)

// frameReader reads the frames of a request body. It never holds more than the caller's buffer.
type frameReader struct {
	r    io.Reader
	head [frameHeadSize]byte
	left int
}

// next skips what is left of the current frame and reads the next head. A clean end is io.EOF.
func (f *frameReader) next() (byte, int, error) {
	if f.left > 0 {
		if _, err := io.CopyN(io.Discard, f.r, int64(f.left)); err != nil {
			return 0, 0, io.ErrUnexpectedEOF
		}
		f.left = 0
	}
	if _, err := io.ReadFull(f.r, f.head[:]); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint32(f.head[1:])
	if length > maxFrame {
		return 0, 0, fail(codeBadRequest, "a frame is longer than 1 MiB")
	}
	f.left = int(length)
	return f.head[0], f.left, nil
}

// Read reads the current frame's payload and is at its end with io.EOF.
func (f *frameReader) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	if len(p) > f.left {
		p = p[:f.left]
	}
	n, err := f.r.Read(p)
	f.left -= n
	if err == io.EOF && f.left > 0 {
		err = io.ErrUnexpectedEOF
	} else if err == io.EOF && n > 0 {
		err = nil
	}
	return n, err
}

// decode reads the current payload, at most limit bytes, as one strict JSON object.
func (f *frameReader) decode(limit int, into any) error {
	if f.left > limit {
		return fail(codeBadRequest, "a control frame is too long")
	}
	body := make([]byte, f.left)
	if _, err := io.ReadFull(f, body); err != nil {
		return io.ErrUnexpectedEOF
	}
	return decodeJSON(body, into)
}

// frameWriter writes whole frames from several goroutines.
type frameWriter struct {
	mu    sync.Mutex
	w     io.Writer
	flush func()
	ended bool
}

// send frames buf[frameHeadSize:]: the head is written into the reserved first bytes, so that head and
// payload leave in one Write. Nothing is written after an EXIT or ERROR frame.
func (f *frameWriter) send(kind byte, buf []byte) error {
	buf[0] = kind
	binary.BigEndian.PutUint32(buf[1:], uint32(len(buf)-frameHeadSize))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return io.ErrClosedPipe
	}
	f.ended = kind == frameExit || kind == frameError
	if _, err := f.w.Write(buf); err != nil {
		return err
	}
	// The last frame leaves together with the end of the stream, when the handler returns.
	if !f.ended {
		f.flush()
	}
	return nil
}

func (f *frameWriter) sendJSON(kind byte, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return f.send(kind, append(make([]byte, frameHeadSize, frameHeadSize+len(body)), body...))
}

func (f *frameWriter) sendEmpty(kind byte) error {
	var head [frameHeadSize]byte
	return f.send(kind, head[:])
}

// growBuffer replaces, once, a buffer that a read has just filled.
func growBuffer(buf []byte, read int) []byte {
	if read+frameHeadSize < len(buf) || len(buf) >= largestBuffer {
		return buf
	}
	return make([]byte, largestBuffer)
}
