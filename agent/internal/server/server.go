// Package server is the serving copy: it answers the host's calls, and finishes what boot has left
// for later.
package server

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

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/channel"
	"gaovm/agent/internal/clock"
	"gaovm/agent/internal/disk"
	"gaovm/agent/internal/exec"
	"gaovm/agent/internal/files"
	"gaovm/agent/internal/info"
	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/memory"
	"gaovm/agent/internal/mounts"
	"gaovm/agent/internal/network"
	"gaovm/agent/internal/ports"
	"gaovm/agent/internal/power"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/roles"
	"gaovm/agent/internal/stream"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/trust"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	maxStreams       = 256
	streamWindow     = 1 << 20
	connectionWindow = 16 << 20
	// After this long without a stream the agent gives the kernel back the memory that a burst of
	// streams took.
	idleRelease = 2 * time.Second
	// The agent waits this long before it reopens a channel that failed at once.
	reopenPause = 200 * time.Millisecond
)

// agent is the state that all connections share, and the route table.
type agent struct {
	hello    channel.Hello
	measured sync.Once
	real     bool          // false: development mode, which changes nothing of the machine it runs on
	initName string        // base name of the distribution's init program
	ready    chan struct{} // closed when the kernel has the file systems of the mounts
	online   *network.Online
	watchdog *power.Watchdog
	server   *http.Server
	cgroups  *cgroups.Groups
	life     *roles.Life
	live     *process.Table
	streams  atomic.Int64
	release  *time.Timer

	accounts *account.Accounts
	runner   *exec.Runner
	copier   *files.Copier
	mounter  *mounts.Mounter
	clock    clock.Clock
	power    *power.Switch
	trust    *trust.Store
	ports    *ports.Own
}

// newAgent returns an agent that serves no channel yet.
func newAgent(h channel.Hello, real bool, initName string, cgroups *cgroups.Groups) *agent {
	a := &agent{hello: h, real: real, initName: initName, ready: make(chan struct{}), online: network.NewOnline(),
		watchdog: power.NewWatchdog(), cgroups: cgroups, life: roles.Unwatched(), live: new(process.Table)}
	a.accounts = account.New(real, initName)
	a.runner = exec.NewRunner(a.accounts, cgroups, a.live)
	a.copier = files.NewCopier(a.accounts, cgroups)
	a.mounter = &mounts.Mounter{Real: real, Ready: a.ready, Accounts: a.accounts}
	a.clock = clock.Clock{Real: real}
	a.trust = trust.New(real)
	a.ports = ports.NewOwn(real)
	a.power = &power.Switch{Real: real, InitName: initName, Watchdog: a.watchdog, Live: a.live}
	a.release = time.AfterFunc(idleRelease, memory.Trim)
	a.server = &http.Server{
		Handler:  a,
		ErrorLog: log.New(io.Discard, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              wire.MaxFrame,
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
	c := channel.New(rwc)
	defer c.Close()
	a.measured.Do(func() {
		a.hello.ExecToReadyMS = sys.MillisecondsSince(roles.StartedAt())
		a.hello.BootMS = sys.BootMilliseconds()
	})
	if c.Greet(a.hello) == nil {
		journal.Info("the host is connected")
		_ = a.server.Serve(&oneListener{c: c, first: true})
	}
}

// servePort serves the virtio port for ever. It calls settle beside that once the port is open, or
// cannot be opened.
func (a *agent) servePort(port *os.File, settle func()) error {
	var once sync.Once
	for {
		var err error
		if port == nil {
			port, err = channel.Open()
		}
		once.Do(func() { go settle() })
		if err != nil {
			return err
		}
		began := time.Now()
		if direct, err := sys.NewRawFile(port); err == nil {
			a.serveChannel(direct)
		}
		port = nil
		if time.Since(began) < reopenPause {
			time.Sleep(reopenPause)
		}
	}
}

// serveSocket is the development mode: it serves each connection to the Unix socket like the port.
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

// oneListener gives net/http one connection, and ends when that connection has ended.
type oneListener struct {
	c     *channel.Conn
	first bool
}

func (l *oneListener) Accept() (net.Conn, error) {
	if l.first {
		l.first = false
		return l.c, nil
	}
	<-l.c.Done
	return nil, net.ErrClosed
}

func (l *oneListener) Close() error   { return nil }
func (l *oneListener) Addr() net.Addr { return channel.Address{} }

// ServeHTTP is the whole route table.
func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/log" && r.Method == http.MethodPost {
		// It stays open as long as the host lives, so it is none of the streams for which the agent
		// keeps memory.
		w.Header()["Date"] = nil
		journal.Serve(w, r)
		return
	}
	if r.URL.Path == "/v1/listeners" && r.Method == http.MethodPost {
		w.Header()["Date"] = nil // as the log: it is open as long as the host lives
		a.ports.Watch(w, r)
		return
	}
	if r.URL.Path == "/v1/offer" && r.Method == http.MethodPost {
		w.Header()["Date"] = nil
		stream.Serve(w, r, a.ports.Offer)
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
	if journal.Own.On(journal.LevelDebug) {
		began := time.Now()
		journal.Own.Add(journal.LevelDebug, "begins: "+r.Method+" "+r.URL.Path)
		defer func() {
			journal.Own.Add(journal.LevelDebug, "ended after "+time.Since(began).Round(time.Microsecond).String()+": "+r.Method+" "+r.URL.Path)
		}()
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/exec":
		stream.Serve(w, r, a.runner.Run)
	case "POST /v1/ssh":
		stream.Serve(w, r, a.runner.SSH)
	case "POST /v1/tunnel":
		stream.Serve(w, r, a.ports.Connect)
	case "POST /v1/copy/in":
		stream.Serve(w, r, a.copier.In)
	case "POST /v1/copy/out":
		stream.Serve(w, r, a.copier.Out)
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
		result = info.Read(a.hello.Version, info.Agent{
			ExecToReadyMS: a.hello.ExecToReadyMS, BootMS: a.hello.BootMS, Streams: a.streams.Load(),
		})
	case "PUT /v1/configure":
		result, err = a.configure(r)
	case "PUT /v1/trust":
		result, err = a.trust.Call(r)
	case "GET /v1/clock":
		result, err = a.clock.Now()
	case "POST /v1/clock":
		result, err = a.clock.Call(r)
	case "POST /v1/disks/mount":
		result, err = a.mounter.MountDisks(r)
	case "POST /v1/disk/grow":
		result, err = disk.Grow(r, a.real)
	case "POST /v1/power":
		status = http.StatusAccepted
		result, err = a.power.Call(r)
	case "POST /v1/boot/wait":
		result, err = a.bootWait(r)
	case "POST /v1/network/wait":
		result, err = a.networkWait(r)
	case "POST /v1/mounts/wait":
		result, err = a.mounter.Await(r)
	case "POST /v1/changes":
		result, err = a.mounter.Changed(r)
	case "POST /v1/signal":
		result, err = a.runner.SignalCall(r)
	default:
		err = wire.Fail(wire.CodeNotFound, "no such call")
	}
	if err != nil {
		level := journal.LevelDebug // the host learns of it from the answer
		if wire.HTTPStatus(wire.AsError(err).Code) == http.StatusInternalServerError {
			level = journal.LevelWarn
		}
		journal.Own.Add(level, r.Method+" "+r.URL.Path+": "+err.Error())
		wire.WriteError(w, err)
		return
	}
	wire.WriteJSON(w, status, result)
}
