package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/channel"
	"gaovm/agent/internal/wire"
)

// dial starts an agent in development mode on one end of a socket and returns an HTTP/2 client on
// the other.
func dial(t *testing.T) (*http.Client, *agent) {
	t.Helper()
	a := newAgent(channel.Hello{Version: "test", PID: 1}, false, "", cgroups.New(-1))
	close(a.ready)
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if conn, err := listener.Accept(); err == nil {
			a.serveChannel(conn)
		}
	}()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	greetAgent(t, conn)
	transport := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() { conn.Close(); listener.Close(); a.live.KillAll() })
	return &http.Client{Transport: transport}, a
}

// greetAgent is the host's half of the greeting; stale bytes go before it.
func greetAgent(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	line := readTestLine(t, conn)
	parts := strings.SplitN(line, " ", 3)
	var first channel.Hello
	if len(parts) != 3 || parts[0] != "GAOVM-AGENT/1" || json.Unmarshal([]byte(parts[2]), &first) != nil || first.Version != "test" {
		t.Fatalf("the first line is %q", line)
	}
	nonce := strings.Repeat("ab", 16)
	stale := strings.Repeat("\xff", 100_000) + "\nGAOVM-HOST/1 " + nonce + " " + nonce + "\n"
	if _, err := io.WriteString(conn, stale+"GAOVM-HOST/1 "+parts[1]+" "+nonce+"\n"); err != nil {
		t.Fatal(err)
	}
	if again := readTestLine(t, conn); again != line {
		t.Fatalf("the answer to a stale answer is %q", again)
	}
	if line := readTestLine(t, conn); line != "GAOVM-GO/1 "+nonce {
		t.Fatalf("the confirmation is %q", line)
	}
	_ = conn.SetDeadline(time.Time{})
}

func readTestLine(t *testing.T, conn net.Conn) string {
	t.Helper()
	var line []byte
	for one := make([]byte, 1); ; {
		if _, err := conn.Read(one); err != nil {
			t.Fatal(err)
		}
		if one[0] == '\n' {
			return string(line)
		}
		line = append(line, one[0])
	}
}

// testStream is the host's side of one stream.
type testStream struct {
	t     *testing.T
	to    *io.PipeWriter
	from  *bufio.Reader
	reset func()
}

func openStream(t *testing.T, client *http.Client, path string, start any) *testStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	body, to := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, "POST", "http://agent"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := json.Marshal(start)
	go func() { _, _ = io.WriteString(to, frame(wire.FrameStart, string(first))) }()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); response.Body.Close(); to.Close() })
	return &testStream{t, to, bufio.NewReader(response.Body), func() { response.Body.Close() }}
}

func (s *testStream) send(kind byte, payload string) {
	go func() { _, _ = io.WriteString(s.to, frame(kind, payload)) }()
}

func (s *testStream) next() (byte, string) {
	s.t.Helper()
	reader := wire.FrameReader{R: s.from}
	kind, length, err := reader.Next()
	if err != nil {
		s.t.Fatal(err)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(&reader, body); err != nil && length > 0 {
		s.t.Fatal(err)
	}
	return kind, string(body)
}

// finish collects the output until the last frame.
func (s *testStream) finish() (out, errout, last string) {
	s.t.Helper()
	for {
		switch kind, body := s.next(); kind {
		case wire.FrameOut:
			out += body
		case wire.FrameStderr:
			errout += body
		case wire.FrameExit, wire.FrameError:
			return out, errout, body
		}
	}
}

func call(t *testing.T, client *http.Client, method, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, "http://agent"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func TestPlainCalls(t *testing.T) {
	client, _ := dial(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		contains           string
	}{
		{"GET", "/v1/ping", "", 200, `{"ok":true}`},
		{"GET", "/v1/info", "", 200, `"version":"test"`},
		{"GET", "/v1/nothing", "", 404, `"code":"not-found"`},
		{"POST", "/v1/clock", `{"unix_ns":"x"}`, 400, `"field":"unix_ns"`},
		{"POST", "/v1/clock", `{"unix_ns":1,"more":1}`, 400, `unknown field`},
		{"POST", "/v1/clock", strings.Repeat(" ", wire.MaxBody+1), 400, `longer than 1 MiB`},
		{"POST", "/v1/power", `{"action":"explode"}`, 400, `"field":"action"`},
		{"POST", "/v1/boot/wait", `{"timeout_s":5}`, 200, `{"state":"none"}`},
		{"POST", "/v1/signal", `{"pid":1,"signal":"TERM"}`, 404, `not-found`},
		{"PUT", "/v1/configure", `{"hostname":"-"}`, 400, `"field":"hostname"`},
		{"PUT", "/v1/configure", `{"timezone":{"name":"../x"}}`, 400, `"field":"timezone.name"`},
		{"PUT", "/v1/trust", `{"certificates":["x"]}`, 400, `"field":"certificates[0]"`},
		{"PUT", "/v1/trust", `{"certificates":[]}`, 200, `"changed":false`},
		{"POST", "/v1/boot/wait", `{"timeout_s":5,"until":"manager"}`, 200, `{"state":"none"}`},
		{"POST", "/v1/boot/wait", `{"timeout_s":5,"until":"x"}`, 400, `"field":"until"`},
		{"PUT", "/v1/configure", `{"mounts":[{"tag":"t","type":"nfs","path":"/x"}]}`, 400, `mounts[0].type`},
		{"PUT", "/v1/configure", `{"mounts":[{"tag":"t","type":"9p","path":"/x/../y"}]}`, 200, `{"path":"/y","ok":true}`},
	} {
		status, body := call(t, client, c.method, c.path, c.body)
		if status != c.status || !strings.Contains(body, c.contains) {
			t.Errorf("%s %s %.60s: %d %.200s", c.method, c.path, c.body, status, body)
		}
	}
}

// frame is one frame as the host sends it.
func frame(kind byte, payload string) string {
	head := make([]byte, wire.FrameHeadSize)
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	return string(head) + payload
}
