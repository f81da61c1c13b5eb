package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"gaovm/agent/internal/wire"
)

func frame(kind byte, payload string) string {
	head := make([]byte, wire.FrameHeadSize)
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	return string(head) + payload
}

func from(frames ...string) *Stream {
	return &Stream{Ctx: context.Background(), In: wire.FrameReader{R: strings.NewReader(strings.Join(frames, ""))}}
}

func TestFeedGivesEachFrameToItsConsumer(t *testing.T) {
	var data bytes.Buffer
	ends, controls := 0, ""
	s := from(frame(wire.FrameData, "ab"), frame(wire.FrameResize, "{}"), frame(wire.FrameData, "c"), frame(wire.FrameEOF, ""),
		frame(wire.FrameSignal, "{}"))
	err := s.Feed(&data, func() { ends++ }, func(kind byte) error { controls += string('0' + rune(kind)); return nil })
	if err != nil || data.String() != "abc" || ends != 1 || controls != "54" {
		t.Fatalf("got %q, %d ends, %q: %v", data.String(), ends, controls, err)
	}
}

func TestFeedRefusesWhatBreaksTheProtocol(t *testing.T) {
	ignore := func(byte) error { return nil }
	for name, frames := range map[string]string{
		"data after the end": frame(wire.FrameEOF, "") + frame(wire.FrameData, "x"),
		"a second end":       frame(wire.FrameEOF, "") + frame(wire.FrameEOF, ""),
		"an end with data":   frame(wire.FrameEOF, "x"),
		"a second start":     frame(wire.FrameStart, "{}"),
		"half a frame":       frame(wire.FrameData, "hello")[:7],
	} {
		err := from(frames).Feed(io.Discard, func() {}, ignore)
		if wire.AsError(err).Code != wire.CodeBadRequest {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := from(frame(wire.FrameSignal, "{}")).Feed(io.Discard, func() {}, nil); err == nil {
		t.Error("a stream without control took a signal")
	}
}

type broken struct{ writes int }

func (b *broken) Write([]byte) (int, error) {
	b.writes++
	return 0, errors.New("nobody reads")
}

func TestFeedDropsDataThatNobodyReads(t *testing.T) {
	writer := &broken{}
	ended := false
	s := from(frame(wire.FrameData, "a"), frame(wire.FrameData, "b"), frame(wire.FrameEOF, ""))
	if err := s.Feed(writer, func() { ended = true }, nil); err != nil || writer.writes != 1 || !ended {
		t.Fatalf("%d writes, %v, %v", writer.writes, ended, err)
	}
}

func TestTheFirstFrameMustBeStart(t *testing.T) {
	var into struct{ A int }
	if err := from(frame(wire.FrameStart, `{"a":1}`)).Start(&into); err != nil || into.A != 1 {
		t.Fatalf("got %+v %v", into, err)
	}
	for _, bad := range []string{"", frame(wire.FrameData, "{}"), frame(wire.FrameStart, "[]")} {
		if err := from(bad).Start(&into); wire.AsError(err).Code != wire.CodeBadRequest {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestPumpSendsAFileToItsEnd(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	go func() {
		_, _ = writer.Write(bytes.Repeat([]byte("x"), 50_000))
		writer.Close()
	}()
	var sent bytes.Buffer
	s := &Stream{Out: wire.FrameWriter{W: &sent, Flush: func() {}}}
	if err := s.Pump(wire.FrameOut, reader); err != nil {
		t.Fatal(err)
	}
	total := 0
	for frames := (wire.FrameReader{R: &sent}); ; {
		kind, length, err := frames.Next()
		if err == io.EOF {
			break
		}
		if err != nil || kind != wire.FrameOut {
			t.Fatalf("got %x %v", kind, err)
		}
		total += length
	}
	if total != 50_000 {
		t.Fatalf("%d bytes", total)
	}
}
