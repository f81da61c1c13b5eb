package main

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxStreams       = 256
	streamWindow     = 1 << 20
	connectionWindow = 16 << 20
	// After this long without a stream, memory that a burst of streams took goes back to the kernel.
	idleRelease = 2 * time.Second
	// A channel that fails at once is not reopened in a tight loop.
	reopenPause = 200 * time.Millisecond
)

// agent is the state that all connections share.
type agent struct {
	hello    hello
	measured sync.Once
	real     bool          // false: development mode, which changes nothing of the machine it runs on
	initName string        // base name of the distribution's init program
	ready    chan struct{} // closed when the file systems of the mounts are loaded
	online   *online
	watchdog *watchdog
	server   *http.Server
	cgroups  *cgroups
	life     int // the descriptor by which the watcher sees our death; -1: nobody watches
	live     liveTable
	streams  atomic.Int64
	release  *time.Timer

	mu        sync.Mutex
	booted    atomic.Bool       // the distribution's init has said so
	lingering uint32            // whose user manager is to run; guarded by mu
	user      string            // the configured user; guarded by mu
	env       map[string]string // the configured environment; guarded by mu, replaced whole
}

func newAgent(h hello, real bool) *agent {
	a := &agent{hello: h, real: real, ready: make(chan struct{}), online: newOnline(), watchdog: newWatchdog(),
		cgroups: newCgroups(-1), life: -1}
	a.release = time.AfterFunc(idleRelease, trim)
	a.server = &http.Server{
		Handler:  a,
		ErrorLog: log.New(io.Discard, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              maxFrame,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: connectionWindow,
		},
		Protocols: new(http.Protocols),
	}
	a.server.Protocols.SetUnencryptedHTTP2(true)
	return a
}

// serveChannel greets the host and serves HTTP/2 until the channel ends for any reason.
func (a *agent) serveChannel(rwc io.ReadWriteCloser) {
	c := newChannel(rwc)
	defer c.Close()
	a.measured.Do(func() {
		a.hello.ExecToReadyMS = millisecondsSince(startedAt())
		a.hello.BootMS = bootMilliseconds()
	})
	if c.greet(a.hello) == nil {
		inform("the host is connected")
		_ = a.server.Serve(&oneListener{c: c, first: true})
	}
}

// servePort serves the virtio port for ever. What boot left for later (settle) begins once the port is open, or is
// known not to be there.
func (a *agent) servePort(port *os.File, settle func()) error {
	var once sync.Once
	for {
		var err error
		if port == nil {
			port, err = openPort()
		}
		once.Do(func() { go settle() })
		if err != nil {
			return err
		}
		began := time.Now()
		if direct, err := newRawFile(port); err == nil {
			a.serveChannel(direct)
		}
		port = nil
		if time.Since(began) < reopenPause {
			time.Sleep(reopenPause)
		}
	}
}

// serveSocket is the development mode: each connection to the Unix socket is served like the port.
func (a *agent) serveSocket(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	old := unix.Umask(0o077)
	listener, err := net.Listen("unix", path)
	unix.Umask(old)
	if err != nil {
		return err
	}
	defer listener.Close()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go a.serveChannel(conn)
	}
}

// oneListener hands net/http one connection and ends when that connection has ended.
type oneListener struct {
	c     *channel
	first bool
}

func (l *oneListener) Accept() (net.Conn, error) {
	if l.first {
		l.first = false
		return l.c, nil
	}
	<-l.c.done
	return nil, net.ErrClosed
}

func (l *oneListener) Close() error   { return nil }
func (l *oneListener) Addr() net.Addr { return channelAddr{} }

// ServeHTTP is the whole route table.
func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/log" && r.Method == http.MethodPost {
		// It stays open as long as the host lives: not one of the streams that memory is kept for.
		w.Header()["Date"] = nil
		a.log(w, r)
		return
	}
	a.release.Stop()
	a.streams.Add(1)
	defer func() {
		if a.streams.Add(-1) == 0 {
			a.release.Reset(idleRelease)
		}
	}()
	w.Header()["Date"] = nil
	if own.on(levelDebug) {
		began := time.Now()
		own.add(levelDebug, "begins: "+r.Method+" "+r.URL.Path)
		defer func() {
			own.add(levelDebug, "ended after "+time.Since(began).Round(time.Microsecond).String()+": "+r.Method+" "+r.URL.Path)
		}()
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/exec":
		a.stream(w, r, a.exec)
	case "POST /v1/tunnel":
		a.stream(w, r, a.tunnel)
	case "POST /v1/copy/in":
		a.stream(w, r, a.copyIn)
	case "POST /v1/copy/out":
		a.stream(w, r, a.copyOut)
	default:
		a.plain(w, r)
	}
}

func (a *agent) plain(w http.ResponseWriter, r *http.Request) {
	status, result, err := http.StatusOK, any(nil), error(nil)
	switch r.Method + " " + r.URL.Path {
	case "GET /v1/ping":
		result = map[string]bool{"ok": true}
	case "GET /v1/info":
		result, err = a.info()
	case "PUT /v1/configure":
		result, err = a.configure(r)
	case "GET /v1/clock":
		result, err = a.now()
	case "POST /v1/clock":
		result, err = a.clock(r)
	case "POST /v1/disk/grow":
		result, err = a.grow(r)
	case "POST /v1/power":
		status = http.StatusAccepted
		result, err = a.power(r)
	case "POST /v1/boot/wait":
		result, err = a.bootWait(r)
	case "POST /v1/network/wait":
		result, err = a.networkWait(r)
	case "POST /v1/bench/spawn":
		result, err = a.benchSpawn(r)
	case "POST /v1/signal":
		result, err = a.signalCall(r)
	default:
		err = fail(codeNotFound, "no such call")
	}
	if err != nil {
		level := levelDebug // the host's own mistake, or its bad luck: it is told
		if httpStatus(asWireError(err).Code) == http.StatusInternalServerError {
			level = levelWarn
		}
		own.add(level, r.Method+" "+r.URL.Path+": "+err.Error())
		writeError(w, err)
		return
	}
	writeJSON(w, status, result)
}
