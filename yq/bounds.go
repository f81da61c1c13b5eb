package main

import (
	"errors"
	"io"
	"runtime/debug"
	"syscall"
)

const (
	// maxSeconds of processor time: an expression of a person's takes milliseconds.
	maxSeconds = 10
	// maxMemory is the address space's bound in bytes. Go reserves much more than it uses.
	maxMemory = 4 << 30
	// softMemory is where the garbage collector begins to work hard, in bytes.
	softMemory = 512 << 20
	// MaxInput and maxOutput, in bytes: a list of a thousand VMs is less.
	maxInput  = 64 << 20
	maxOutput = 64 << 20
)

var errOutput = errors.New("the result is larger than 64 MiB")

// limited is a writer that refuses more than maxOutput bytes.
type limited struct {
	to   io.Writer
	left int
}

func (w *limited) Write(data []byte) (int, error) {
	if len(data) > w.left {
		return 0, errOutput
	}
	w.left -= len(data)
	return w.to.Write(data)
}

// bounded runs work with bounds on its processor time, its memory and its output.
func bounded(to io.Writer, work func(*limited) error) error {
	debug.SetMemoryLimit(softMemory)
	for kind, limit := range map[int]uint64{
		syscall.RLIMIT_CPU:  maxSeconds,
		syscall.RLIMIT_AS:   maxMemory,
		syscall.RLIMIT_CORE: 0,
	} {
		if err := syscall.Setrlimit(kind, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
	}
	out := &limited{to: to, left: maxOutput}
	return work(out)
}

// input reads a bounded stream; one that is longer is an error.
func input(from io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = errors.New("the input is larger than 64 MiB")
	}
	return data, err
}
