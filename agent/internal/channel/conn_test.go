package channel

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

// greeted begins a greeting and returns the host's side and the first line's nonce.
func greeted(t *testing.T) (net.Conn, *bufio.Reader, string, <-chan error) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	ended := make(chan error, 1)
	go func() { ended <- New(theirs).Greet(Hello{Version: "test", PID: 7}) }()
	host := bufio.NewReader(ours)
	line, err := host.ReadString('\n')
	parts := strings.SplitN(line, " ", 3)
	if err != nil || len(parts) != 3 || parts[0] != "GAOVM-AGENT/1" || !isNonce([]byte(parts[1])) {
		t.Fatalf("the first line is %q: %v", line, err)
	}
	return ours, host, parts[1], ended
}

func TestTheAgentConfirmsTheHostsNonce(t *testing.T) {
	ours, host, nonce, ended := greeted(t)
	answer := strings.Repeat("0f", 16)
	go func() {
		_, _ = io.WriteString(ours, "stale\nGAOVM-HOST/1 "+nonce+" no-nonce\n")
		_, _ = io.WriteString(ours, strings.Repeat("x", 3*maxHelloLine)+"GAOVM-HOST/1 "+nonce+" "+answer+"\n")
	}()
	if line, err := host.ReadString('\n'); err != nil || line != "GAOVM-GO/1 "+answer+"\n" {
		t.Fatalf("got %q %v", line, err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestAnAnswerToAnotherNonceGetsTheFirstLineAgain(t *testing.T) {
	ours, host, nonce, _ := greeted(t)
	other := strings.Repeat("ab", 16)
	go func() { _, _ = io.WriteString(ours, "GAOVM-HOST/1 "+other+" "+other+"\n") }()
	if line, err := host.ReadString('\n'); err != nil || !strings.HasPrefix(line, "GAOVM-AGENT/1 "+nonce+" ") {
		t.Fatalf("got %q %v", line, err)
	}
}

func TestAGreetingEndsWithTheConnection(t *testing.T) {
	ours, _, _, ended := greeted(t)
	ours.Close()
	if err := <-ended; err == nil {
		t.Fatal("greeted nobody")
	}
}

func TestATakenPortIsNotOpenedAnyMore(t *testing.T) {
	p := &EarlyPort{fd: 9}
	if fd := p.Take(); fd != 9 || !p.taken {
		t.Fatalf("got %d", fd)
	}
}
