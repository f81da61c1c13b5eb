package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

func frame(kind byte, payload string) string {
	head := make([]byte, FrameHeadSize)
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	return string(head) + payload
}

func codeOf(err error) string {
	var coded *Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return ""
}

func TestFrameReaderSkipsWhatIsLeft(t *testing.T) {
	reader := FrameReader{R: strings.NewReader(frame(FrameData, "hello") + frame(FrameEOF, ""))}
	kind, length, err := reader.Next()
	if kind != FrameData || length != 5 || err != nil {
		t.Fatalf("got %d %d %v", kind, length, err)
	}
	two := make([]byte, 2)
	if _, err := io.ReadFull(&reader, two); err != nil || string(two) != "he" {
		t.Fatalf("got %q %v", two, err)
	}
	if kind, length, err = reader.Next(); kind != FrameEOF || length != 0 || err != nil {
		t.Fatalf("got %d %d %v", kind, length, err)
	}
	if _, _, err = reader.Next(); err != io.EOF {
		t.Fatalf("want a clean end, got %v", err)
	}
}

func TestFrameReaderRefusesAnOversizeFrame(t *testing.T) {
	reader := FrameReader{R: strings.NewReader("\x02\xff\xff\xff\xff")}
	if _, _, err := reader.Next(); codeOf(err) != CodeBadRequest {
		t.Fatalf("got %v", err)
	}
}

func TestFrameReaderTellsATruncatedFrame(t *testing.T) {
	for _, text := range []string{"\x02\x00", frame(FrameData, "hello")[:7]} {
		reader := FrameReader{R: strings.NewReader(text)}
		var err error
		for err == nil {
			_, _, err = reader.Next()
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestFrameDecodeIsStrict(t *testing.T) {
	for _, body := range []string{"", "{", `{"a":1}{}`, `{"b":1}`, `[]`} {
		reader := FrameReader{R: strings.NewReader(frame(FrameStart, body))}
		if _, _, err := reader.Next(); err != nil {
			t.Fatal(err)
		}
		var into struct{ A int }
		if err := reader.Decode(64, &into); codeOf(err) != CodeBadRequest {
			t.Errorf("%q: got %v", body, err)
		}
	}
}

func TestFrameWriterEndsAfterTheLastFrame(t *testing.T) {
	var out bytes.Buffer
	flushed := 0
	writer := FrameWriter{W: &out, Flush: func() { flushed++ }}
	if err := writer.Send(FrameOut, []byte("\x00\x00\x00\x00\x00abc")); err != nil || flushed != 1 {
		t.Fatal(err, flushed)
	}
	if err := writer.SendJSON(FrameExit, struct{}{}); err != nil {
		t.Fatal(err)
	}
	if err := writer.SendEmpty(FrameOutEOF); err == nil {
		t.Fatal("a frame after EXIT was written")
	}
	if want := frame(FrameOut, "abc") + frame(FrameExit, "{}"); out.String() != want {
		t.Fatalf("got %q", out.String())
	}
}

func TestGrowBuffer(t *testing.T) {
	buf := make([]byte, FirstBuffer)
	if got := GrowBuffer(buf, 10); len(got) != FirstBuffer {
		t.Error("grew after a short read")
	}
	for range 4 {
		buf = GrowBuffer(buf, len(buf)-FrameHeadSize)
	}
	if len(buf) != largestBuffer {
		t.Errorf("ended at %d", len(buf))
	}
}
