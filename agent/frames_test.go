package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

func frame(kind byte, payload string) string {
	head := make([]byte, frameHeadSize)
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	return string(head) + payload
}

func codeOf(err error) string {
	var wire *wireError
	if errors.As(err, &wire) {
		return wire.Code
	}
	return ""
}

func TestFrameReaderSkipsWhatIsLeft(t *testing.T) {
	reader := frameReader{r: strings.NewReader(frame(frameData, "hello") + frame(frameEOF, ""))}
	kind, length, err := reader.next()
	if kind != frameData || length != 5 || err != nil {
		t.Fatalf("got %d %d %v", kind, length, err)
	}
	two := make([]byte, 2)
	if _, err := io.ReadFull(&reader, two); err != nil || string(two) != "he" {
		t.Fatalf("got %q %v", two, err)
	}
	if kind, length, err = reader.next(); kind != frameEOF || length != 0 || err != nil {
		t.Fatalf("got %d %d %v", kind, length, err)
	}
	if _, _, err = reader.next(); err != io.EOF {
		t.Fatalf("want a clean end, got %v", err)
	}
}

func TestFrameReaderRefusesAnOversizeFrame(t *testing.T) {
	reader := frameReader{r: strings.NewReader("\x02\xff\xff\xff\xff")}
	if _, _, err := reader.next(); codeOf(err) != codeBadRequest {
		t.Fatalf("got %v", err)
	}
}

func TestFrameReaderTellsATruncatedFrame(t *testing.T) {
	for _, text := range []string{"\x02\x00", frame(frameData, "hello")[:7]} {
		reader := frameReader{r: strings.NewReader(text)}
		var err error
		for err == nil {
			_, _, err = reader.next()
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestFrameDecodeIsStrict(t *testing.T) {
	for _, body := range []string{"", "{", `{"a":1}{}`, `{"b":1}`, `[]`} {
		reader := frameReader{r: strings.NewReader(frame(frameStart, body))}
		if _, _, err := reader.next(); err != nil {
			t.Fatal(err)
		}
		var into struct{ A int }
		if err := reader.decode(64, &into); codeOf(err) != codeBadRequest {
			t.Errorf("%q: got %v", body, err)
		}
	}
}

func TestFrameWriterEndsAfterTheLastFrame(t *testing.T) {
	var out bytes.Buffer
	flushed := 0
	writer := frameWriter{w: &out, flush: func() { flushed++ }}
	if err := writer.send(frameOut, []byte("\x00\x00\x00\x00\x00abc")); err != nil || flushed != 1 {
		t.Fatal(err, flushed)
	}
	if err := writer.sendJSON(frameExit, exitFrame{}); err != nil {
		t.Fatal(err)
	}
	if err := writer.sendEmpty(frameOutEOF); err == nil {
		t.Fatal("a frame after EXIT was written")
	}
	if want := frame(frameOut, "abc") + frame(frameExit, "{}"); out.String() != want {
		t.Fatalf("got %q", out.String())
	}
}

func TestGrowBuffer(t *testing.T) {
	buf := make([]byte, firstBuffer)
	if got := growBuffer(buf, 10); len(got) != firstBuffer {
		t.Error("grew after a short read")
	}
	for range 4 {
		buf = growBuffer(buf, len(buf)-frameHeadSize)
	}
	if len(buf) != largestBuffer {
		t.Errorf("ended at %d", len(buf))
	}
}
