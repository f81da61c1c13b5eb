package server

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/wire"
)

type start = map[string]any

func runExec(t *testing.T, client *http.Client, s start) (string, string, string) {
	t.Helper()
	stream := openStream(t, client, "/v1/exec", s)
	stream.send(wire.FrameEOF, "")
	return stream.finish()
}

func TestExecKeepsStreamsApart(t *testing.T) {
	client, _ := dial(t)
	out, errout, last := runExec(t, client, start{"argv": []string{"sh", "-c", "echo out; echo err >&2; exit 7"}})
	if out != "out\n" || errout != "err\n" || last != `{"status":7}` {
		t.Fatalf("got %q %q %q", out, errout, last)
	}
}

func TestExecBinaryClean(t *testing.T) {
	client, _ := dial(t)
	stream := openStream(t, client, "/v1/exec", start{"argv": []string{"cat"}})
	data := strings.Repeat("0123456789\x00\xff", 60_000)
	go func() {
		_, _ = stream.to.Write([]byte(frame(wire.FrameData, data)))
		_, _ = stream.to.Write([]byte(frame(wire.FrameEOF, "")))
	}()
	if out, _, last := stream.finish(); out != data || last != `{"status":0}` {
		t.Fatalf("got %d of %d bytes, %q", len(out), len(data), last)
	}
}

func TestExecErrors(t *testing.T) {
	client, _ := dial(t)
	for _, c := range []struct {
		s    start
		code string
	}{
		{start{"argv": []string{"no-such-program"}}, wire.CodeNotFound},
		{start{"argv": []string{"/etc/passwd"}}, wire.CodeNotExecutable},
		{start{"argv": []string{"/"}}, wire.CodeNotExecutable},
		{start{"argv": []string{"true"}, "cwd": "/no/such"}, wire.CodeBadCwd},
		{start{"argv": []string{"true"}, "cwd": "relative"}, wire.CodeBadRequest},
		{start{"argv": []string{"true"}, "user": "no such user"}, wire.CodeNoSuchUser},
		{start{"argv": []string{"true"}, "env": start{"A=B": "c"}}, wire.CodeBadRequest},
		{start{"argv": []string{""}}, wire.CodeBadRequest},
		{start{"argv": []string{"true"}, "unknown": 1}, wire.CodeBadRequest},
	} {
		if _, _, last := runExec(t, client, c.s); !strings.Contains(last, `"`+c.code+`"`) {
			t.Errorf("%v: got %s", c.s, last)
		}
	}
}

func TestExecEnvironmentAndDirectory(t *testing.T) {
	client, _ := dial(t)
	if status, body := call(t, client, "PUT", "/v1/configure", `{"env":{"A":"configured","B":"configured"}}`); status != 200 {
		t.Fatal(body)
	}
	s := start{"argv": []string{"sh", "-c", `echo $A $B $LANG; pwd`}, "env": start{"B": "started"}, "cwd": "/usr"}
	if out, _, _ := runExec(t, client, s); out != "configured started C.UTF-8\n/usr\n" {
		t.Fatalf("got %q", out)
	}
	s = start{"argv": []string{"true"}, "cwd": "/no/such", "cwd_home_ok": true}
	if _, _, last := runExec(t, client, s); last != `{"status":0}` {
		t.Fatalf("got %q", last)
	}
}

func TestExecBackgroundChild(t *testing.T) {
	client, _ := dial(t)
	began := time.Now()
	out, _, last := runExec(t, client, start{"argv": []string{"sh", "-c", "sleep 1.5 & head -c 300000 /dev/zero; exit 3"}})
	if took := time.Since(began); took > time.Second || len(out) != 300_000 || last != `{"status":3}` {
		t.Fatalf("%d bytes, %s after %s", len(out), last, took)
	}
}

func TestExecSignals(t *testing.T) {
	client, _ := dial(t)
	stream := openStream(t, client, "/v1/exec", start{"argv": []string{"sleep", "100"}})
	stream.next()
	stream.send(wire.FrameSignal, `{"signal":"SIGTERM"}`)
	if _, _, last := stream.finish(); last != `{"signal":15}` {
		t.Fatalf("got %s", last)
	}
	stream = openStream(t, client, "/v1/exec", start{"argv": []string{"sleep", "100"}})
	_, started := stream.next()
	if status, body := call(t, client, "POST", "/v1/signal", strings.TrimSuffix(started, "}")+`,"signal":9}`); status != 200 {
		t.Fatal(body)
	}
	if _, _, last := stream.finish(); last != `{"signal":9}` {
		t.Fatalf("got %s", last)
	}
}

func TestExecBadFrameEndsTheProcess(t *testing.T) {
	client, a := dial(t)
	for _, bad := range []string{frame(0x77, "x"), "\x02\xff\xff\xff\xff", frame(wire.FrameSignal, `{"signal":"NONE"}`), frame(wire.FrameStart, "{}")} {
		stream := openStream(t, client, "/v1/exec", start{"argv": []string{"sleep", "100"}})
		stream.next()
		go func() { _, _ = stream.to.Write([]byte(bad)) }()
		if _, _, last := stream.finish(); !strings.Contains(last, wire.CodeBadRequest) {
			t.Errorf("%q: got %s", bad, last)
		}
	}
	if left := a.live.List(); len(left) != 0 {
		t.Errorf("%d processes are left", len(left))
	}
}

func TestExecResetHangsUpThenKills(t *testing.T) {
	client, a := dial(t)
	stream := openStream(t, client, "/v1/exec", start{"argv": []string{"sh", "-c", "trap '' HUP; echo ready; sleep 100"}})
	stream.next()
	stream.next()
	began := time.Now()
	stream.reset()
	for len(a.live.List()) > 0 {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the process outlived its stream")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(began); took < process.HangupGrace-100*time.Millisecond {
		t.Errorf("killed after %s, before its grace was over", took)
	}
}

func TestExecPTY(t *testing.T) {
	client, _ := dial(t)
	script := "stty size; read x; stty size; echo $TERM $x; exit 4"
	stream := openStream(t, client, "/v1/exec", start{"argv": []string{"sh", "-c", script}, "tty": true, "rows": 33, "cols": 101})
	stream.next()
	if _, size := stream.next(); size != "33 101\r\n" {
		t.Fatalf("got %q", size)
	}
	if _, err := stream.to.Write([]byte(frame(wire.FrameResize, `{"rows":40,"cols":90}`) + frame(wire.FrameData, "in\n"))); err != nil {
		t.Fatal(err)
	}
	if out, _, last := stream.finish(); !strings.Contains(out, "40 90\r\nxterm-256color in\r\n") || last != `{"status":4}` {
		t.Fatalf("got %q %s", out, last)
	}
	stream = openStream(t, client, "/v1/exec", start{"argv": []string{"sleep", "100"}, "tty": true})
	stream.next()
	stream.send(wire.FrameData, "\x03")
	if _, _, last := stream.finish(); last != `{"signal":2}` {
		t.Fatalf("got %s", last)
	}
}

func TestTunnelHalfClose(t *testing.T) {
	client, _ := dial(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		total := 0
		for buf := make([]byte, 65536); err == nil; {
			var n int
			n, err = conn.Read(buf)
			total += n
		}
		_, _ = fmt.Fprintf(conn, "got %d", total)
	}()
	stream := openStream(t, client, "/v1/tunnel", start{"network": "tcp", "address": listener.Addr().String()})
	if kind, _ := stream.next(); kind != wire.FrameStarted {
		t.Fatalf("got %x", kind)
	}
	go func() {
		_, _ = stream.to.Write([]byte(frame(wire.FrameData, strings.Repeat("y", 900_000)) + frame(wire.FrameEOF, "")))
	}()
	if kind, body := stream.next(); kind != wire.FrameOut || body != "got 900000" {
		t.Fatalf("got %x %q", kind, body)
	}
	if kind, _ := stream.next(); kind != wire.FrameOutEOF {
		t.Fatalf("got %x", kind)
	}
	stream = openStream(t, client, "/v1/tunnel", start{"network": "tcp", "address": "127.0.0.1:1"})
	if _, _, last := stream.finish(); !strings.Contains(last, wire.CodeUnreachable) {
		t.Fatalf("got %s", last)
	}
	stream = openStream(t, client, "/v1/tunnel", start{"network": "raw", "address": "127.0.0.1:1"})
	if _, _, last := stream.finish(); !strings.Contains(last, wire.CodeBadRequest) {
		t.Fatalf("got %s", last)
	}
}
