package main

import (
	"context"
	"encoding/json"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// backgroundGrace is how long a background child that keeps the pipe open delays EXIT.
const (
	backgroundGrace = 100 * time.Millisecond
	outputPipeSize  = 1 << 20
)

// stdio is the agent's side of a child's descriptors; with a PTY in and out are the same file and err is nil.
type stdio struct {
	in, out, err *os.File
	child        []uintptr
	pty          bool
}

type exitFrame struct {
	Status *int `json:"status,omitempty"`
	Signal *int `json:"signal,omitempty"`
}

func exitOf(status syscall.WaitStatus) exitFrame {
	if status.Signaled() {
		number := int(status.Signal())
		return exitFrame{Signal: &number}
	}
	code := status.ExitStatus()
	return exitFrame{Status: &code}
}

// openPipes makes three pipes. Only the agent's ends do not block.
func openPipes() (*stdio, error) {
	var ends [3][2]int
	for i := range ends {
		if err := unix.Pipe2(ends[i][:], unix.O_CLOEXEC); err != nil {
			for _, made := range ends[:i] {
				unix.Close(made[0])
				unix.Close(made[1])
			}
			return nil, err
		}
	}
	// Without the right to a larger pipe the default size still works.
	_, _ = unix.FcntlInt(uintptr(ends[1][0]), unix.F_SETPIPE_SZ, outputPipeSize)
	for _, own := range []int{ends[0][1], ends[1][0], ends[2][0]} {
		_ = unix.SetNonblock(own, true)
	}
	return &stdio{
		in:    os.NewFile(uintptr(ends[0][1]), "stdin"),
		out:   os.NewFile(uintptr(ends[1][0]), "stdout"),
		err:   os.NewFile(uintptr(ends[2][0]), "stderr"),
		child: []uintptr{uintptr(ends[0][0]), uintptr(ends[1][1]), uintptr(ends[2][1])},
	}, nil
}

// closeChild closes the child's ends in this process; a PTY's slave stands three times in the list.
func (f *stdio) closeChild() {
	for i, fd := range f.child {
		if i == 0 || fd != f.child[0] {
			unix.Close(int(fd))
		}
	}
}

func (f *stdio) close() {
	for _, file := range []*os.File{f.in, f.out, f.err} {
		if file != nil {
			file.Close() // a second Close, of a PTY's master, is harmless
		}
	}
}

// endInput is EOF: a pipe is closed, a terminal gets its end-of-file character.
func (f *stdio) endInput() {
	if f.pty {
		_, _ = f.in.Write([]byte{4})
		return
	}
	f.in.Close()
}

// exec runs one command: START, then stdin and signals in, stdout, stderr and EXIT out.
func (a *agent) exec(s *stream) error {
	var req execStart
	if err := s.start(&req); err != nil {
		return err
	}
	plan, err := a.planExec(&req)
	if err != nil {
		return err
	}
	var files *stdio
	if plan.tty {
		files, err = openPTY(plan)
	} else {
		files, err = openPipes()
	}
	if err != nil {
		return err
	}
	defer files.close()
	place := a.cgroups.take(func(kills uint64) { s.tellKills(kills, plan.tty) })
	defer place.release()
	p, err := plan.start(place, files.child)
	files.closeChild()
	if err != nil {
		return err
	}
	a.live.add(p, plan.tty)
	defer a.live.remove(p)
	return a.attend(s, p, files, place)
}

// tellKills writes to the command's stderr what the OOM killer did to it.
func (s *stream) tellKills(kills uint64, tty bool) {
	line := oomLine(kills, tty)
	_ = s.out.send(frameStderr, append(make([]byte, frameHeadSize, frameHeadSize+len(line)), line...))
}

// attend serves a running process until it has ended and its output is drained.
func (a *agent) attend(s *stream, p *process, files *stdio, place *slot) error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	hung := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { p.hangUp(); close(hung) })
	_ = s.out.sendJSON(frameStarted, map[string]int{"pid": p.pid})
	pumps := make(chan struct{}, 2)
	pump := func(kind byte, f *os.File) {
		if err := s.pump(kind, f); err != nil {
			cancel(err)
		}
		pumps <- struct{}{}
	}
	running := 1
	go pump(frameOut, files.out)
	if files.err != nil {
		running++
		go pump(frameStderr, files.err)
	}
	go func() {
		err := s.feed(files.in, files.endInput, func(kind byte) error { return s.control(kind, p, files) })
		if err != nil {
			cancel(err)
		}
	}()
	p.awaitExit()
	deadline := time.Now().Add(backgroundGrace)
	_ = files.out.SetReadDeadline(deadline)
	if files.err != nil {
		_ = files.err.SetReadDeadline(deadline)
	}
	for ; running > 0; running-- {
		<-pumps
	}
	if !stop() {
		<-hung
	}
	exit := exitOf(p.reap())
	place.check() // its last words come before the exit status
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return s.out.sendJSON(frameExit, exit)
}

// control handles the SIGNAL and RESIZE frames of an exec.
func (s *stream) control(kind byte, p *process, files *stdio) error {
	if kind == frameSignal {
		var body struct {
			Signal json.RawMessage `json:"signal"`
		}
		if err := s.in.decode(maxSmallFrame, &body); err != nil {
			return err
		}
		sig, err := parseSignal(body.Signal)
		if err == nil {
			_ = p.signal(sig) // the process may have ended meanwhile
		}
		return err
	}
	var size struct {
		Rows uint16 `json:"rows"`
		Cols uint16 `json:"cols"`
	}
	if err := s.in.decode(maxSmallFrame, &size); err != nil {
		return err
	}
	if files.pty {
		resizePTY(files.in, size.Rows, size.Cols)
	}
	return nil
}
