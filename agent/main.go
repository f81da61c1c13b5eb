// Command gaovm-agent is the guest agent: /init of the initramfs, and the server of the agent port.
// The contract is docs/reference/agent-protocol.md.
package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

var version = "0.1.0"

// servingName is the serving copy's argv[0]: systemd's final kill spares names that begin with @.
const servingName = "@gaovm-agent"

func itoa(n int) string { return strconv.Itoa(n) }

func main() {
	name := filepath.Base(os.Args[0])
	switch {
	case name == copyInName || name == copyOutName:
		if len(os.Args) != 2 {
			os.Exit(copyExitFail)
		}
		os.Exit(copyMain(name, os.Args[1]))
	case name == servingName:
		serveMain()
	case name == watchingName:
		watchMain()
	case os.Getpid() == 1:
		bootMain()
	case len(os.Args) == 4 && os.Args[1] == "serve" && os.Args[2] == "--socket":
		os.Exit(developMain(os.Args[3]))
	case len(os.Args) == 2 && os.Args[1] == "version":
		_, _ = os.Stdout.WriteString(version + "\n")
	default:
		_, _ = os.Stderr.WriteString("usage: gaovm-agent version | serve --socket PATH\n")
		os.Exit(2)
	}
}

// developMain serves a Unix socket as the current user, until SIGTERM or SIGINT, and then ends what it started.
func developMain(path string) int {
	limitMemory()
	a := newAgent(hello{Version: version, PID: os.Getpid()}, false)
	close(a.ready)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	failed := make(chan error, 1)
	go func() { failed <- a.serveSocket(path) }()
	select {
	case <-ends:
		a.endAll()
		_ = os.Remove(path)
		return 0
	case err := <-failed:
		_, _ = os.Stderr.WriteString("gaovm-agent: " + err.Error() + "\n")
		return 1
	}
}

// endAll kills every running exec.
func (a *agent) endAll() {
	for _, p := range a.live.list() {
		_ = p.signal(syscall.SIGKILL)
	}
}
