package stream

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"gaovm/agent/internal/wire"
)

func pipe(t *testing.T) (*os.File, *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

func TestFeedRawWritesWhatFollowsStart(t *testing.T) {
	data := strings.Repeat("SSH-2.0\x00\xff", 20_000)
	s := from(frame(wire.FrameStart, "{}"), data)
	var into struct{}
	if err := s.Start(&into); err != nil {
		t.Fatal(err)
	}
	reader, writer := pipe(t)
	go func() {
		if err := s.FeedRaw(writer); err != nil {
			t.Error(err)
		}
		writer.Close()
	}()
	if got, err := io.ReadAll(reader); string(got) != data || err != nil {
		t.Fatalf("%d of %d bytes, %v", len(got), len(data), err)
	}
}

func TestFeedRawDropsDataThatNobodyReads(t *testing.T) {
	reader, writer := pipe(t)
	reader.Close()
	rest := strings.NewReader(strings.Repeat("x", 300_000))
	s := &Stream{Ctx: context.Background(), In: wire.FrameReader{R: rest}}
	if err := s.FeedRaw(writer); err != nil || rest.Len() != 0 {
		t.Fatalf("%d bytes are left, %v", rest.Len(), err)
	}
}

func TestFeedRawRefusesAStartThatIsNotRead(t *testing.T) {
	s := from(frame(wire.FrameStart, "{}"))
	if _, _, err := s.In.Next(); err != nil {
		t.Fatal(err)
	}
	_, writer := pipe(t)
	if err := s.FeedRaw(writer); wire.AsError(err).Code != wire.CodeBadRequest {
		t.Fatalf("got %v", err)
	}
}

func TestPumpRawSendsAFileToItsEnd(t *testing.T) {
	reader, writer := pipe(t)
	data := bytes.Repeat([]byte("abc\x00"), 20_000)
	go func() { _, _ = writer.Write(data); writer.Close() }()
	var sent bytes.Buffer
	s := &Stream{Out: wire.FrameWriter{W: &sent, Flush: func() {}}}
	if err := s.PumpRaw(reader); err != nil || !bytes.Equal(sent.Bytes(), data) {
		t.Fatalf("%d of %d bytes, %v", sent.Len(), len(data), err)
	}
}

func TestPumpRawSendsWhatIsWrittenWhenItsDeadlinePasses(t *testing.T) {
	reader, writer := pipe(t) // the writer stays open, as with a child in the background
	data := bytes.Repeat([]byte("x"), 60_000)
	if _, err := writer.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := reader.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	var sent bytes.Buffer
	s := &Stream{Out: wire.FrameWriter{W: &sent, Flush: func() {}}}
	if err := s.PumpRaw(reader); err != nil || !bytes.Equal(sent.Bytes(), data) {
		t.Fatalf("%d of %d bytes, %v", sent.Len(), len(data), err)
	}
}
