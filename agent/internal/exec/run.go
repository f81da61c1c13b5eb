// Package exec runs the host's commands, on pipes or a terminal.
package exec

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"sync"
	"time"

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/stream"
	"gaovm/agent/internal/wire"
)

// backgroundGrace is how long a background child that keeps the pipe open may delay EXIT.
const (
	backgroundGrace = 100 * time.Millisecond
)

// Runner runs the commands of the host.
type Runner struct {
	accounts *account.Accounts
	cgroups  *cgroups.Groups
	live     *process.Table

	mu  sync.Mutex
	env map[string]string // the configured environment; guarded by mu, replaced whole
}

// NewRunner returns a runner that runs commands in cgroups and lists them in live while they run.
func NewRunner(accounts *account.Accounts, cgroups *cgroups.Groups, live *process.Table) *Runner {
	return &Runner{accounts: accounts, cgroups: cgroups, live: live}
}

// Run serves one exec: START, then stdin and signals in, stdout, stderr and EXIT out.
func (r *Runner) Run(s *stream.Stream) error {
	var req execStart
	if err := s.Start(&req); err != nil {
		return err
	}
	plan, err := r.plan(&req)
	if err != nil {
		return err
	}
	var files *process.Stdio
	if plan.tty {
		files, err = openPTY(plan)
	} else {
		files, err = process.OpenPipes()
	}
	if err != nil {
		return err
	}
	defer files.Close()
	place := r.cgroups.Take(func(kills uint64) { tellKills(s, kills, plan.tty) })
	defer place.Release()
	p, err := plan.start(place, files.Child)
	files.CloseChild()
	if err != nil {
		return err
	}
	r.live.Add(p, plan.tty)
	defer r.live.Remove(p)
	return attend(s, p, files, place)
}

// tellKills writes to the command's stderr that the OOM killer has killed some of it.
func tellKills(s *stream.Stream, kills uint64, tty bool) {
	line := oomLine(kills, tty)
	_ = s.Out.Send(wire.FrameStderr, append(make([]byte, wire.FrameHeadSize, wire.FrameHeadSize+len(line)), line...))
}

// attend serves a running process until it has ended and all its output is sent.
func attend(s *stream.Stream, p *process.Process, files *process.Stdio, place *cgroups.Slot) error {
	ctx, cancel := context.WithCancelCause(s.Ctx)
	defer cancel(nil)
	hung := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { p.HangUp(); close(hung) })
	_ = s.Out.SendJSON(wire.FrameStarted, map[string]int{"pid": p.PID})
	pumps := make(chan struct{}, 2)
	pump := func(kind byte, f *os.File) {
		if err := s.Pump(kind, f); err != nil {
			cancel(err)
		}
		pumps <- struct{}{}
	}
	running := 1
	go pump(wire.FrameOut, files.Out)
	if files.Err != nil {
		running++
		go pump(wire.FrameStderr, files.Err)
	}
	go func() {
		err := s.Feed(files.In, files.EndInput, func(kind byte) error { return steer(s, kind, p, files) })
		if err != nil {
			cancel(err)
		}
	}()
	p.AwaitExit()
	deadline := time.Now().Add(backgroundGrace)
	_ = files.Out.SetReadDeadline(deadline)
	if files.Err != nil {
		_ = files.Err.SetReadDeadline(deadline)
	}
	for ; running > 0; running-- {
		<-pumps
	}
	if !stop() {
		<-hung
	}
	exit := process.ExitOf(p.Reap())
	place.Check() // report a last kill before the exit status
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return s.Out.SendJSON(wire.FrameExit, exit)
}

// steer handles the SIGNAL and RESIZE frames of an exec.
func steer(s *stream.Stream, kind byte, p *process.Process, files *process.Stdio) error {
	if kind == wire.FrameSignal {
		var body struct {
			Signal json.RawMessage `json:"signal"`
		}
		if err := s.In.Decode(wire.MaxSmallFrame, &body); err != nil {
			return err
		}
		sig, err := process.ParseSignal(body.Signal)
		if err == nil {
			_ = p.Signal(sig) // the process may have ended meanwhile
		}
		return err
	}
	var size struct {
		Rows uint16 `json:"rows"`
		Cols uint16 `json:"cols"`
	}
	if err := s.In.Decode(wire.MaxSmallFrame, &size); err != nil {
		return err
	}
	if files.PTY {
		resizePTY(files.In, size.Rows, size.Cols)
	}
	return nil
}

// oomLine is the line that a user reads when the kernel has killed processes of the command.
func oomLine(kills uint64, tty bool) string {
	line := "gaovm: the guest is out of memory: its kernel killed "
	if kills == 1 {
		line += "a process of this command"
	} else {
		line += strconv.FormatUint(kills, 10) + " processes of this command"
	}
	if tty {
		return "\r\n" + line + "\r\n"
	}
	return line + "\n"
}
