package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OutputPipeSize is the size of the pipe for stdout, in bytes.
const OutputPipeSize = 1 << 20

// Stdio is the agent's side of a child's descriptors. With a PTY, in and out are the same file and
// err is nil.
type Stdio struct {
	In, Out, Err *os.File
	Child        []uintptr
	PTY          bool
}

// ExitFrame is the payload of EXIT: a status, or the signal that killed the process.
type ExitFrame struct {
	Status *int `json:"status,omitempty"`
	Signal *int `json:"signal,omitempty"`
}

// ExitOf makes the payload of EXIT.
func ExitOf(status syscall.WaitStatus) ExitFrame {
	if status.Signaled() {
		number := int(status.Signal())
		return ExitFrame{Signal: &number}
	}
	code := status.ExitStatus()
	return ExitFrame{Status: &code}
}

// OpenPipes makes three pipes. Only the agent's ends do not block.
func OpenPipes() (*Stdio, error) {
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
	// A user without the right to a larger pipe keeps the default size, which works too.
	_, _ = unix.FcntlInt(uintptr(ends[1][0]), unix.F_SETPIPE_SZ, OutputPipeSize)
	for _, own := range []int{ends[0][1], ends[1][0], ends[2][0]} {
		_ = unix.SetNonblock(own, true)
	}
	return &Stdio{
		In:    os.NewFile(uintptr(ends[0][1]), "stdin"),
		Out:   os.NewFile(uintptr(ends[1][0]), "stdout"),
		Err:   os.NewFile(uintptr(ends[2][0]), "stderr"),
		Child: []uintptr{uintptr(ends[0][0]), uintptr(ends[1][1]), uintptr(ends[2][1])},
	}, nil
}

// CloseChild closes the child's ends in this process. The slave of a PTY is in the list three
// times.
func (f *Stdio) CloseChild() {
	for i, fd := range f.Child {
		if i == 0 || fd != f.Child[0] {
			unix.Close(int(fd))
		}
	}
}

// Close closes the agent's side.
func (f *Stdio) Close() {
	for _, file := range []*os.File{f.In, f.Out, f.Err} {
		if file != nil {
			file.Close() // closing the master of a PTY twice is harmless
		}
	}
}

// EndInput ends the child's input: it closes a pipe, and sends a terminal its end-of-file
// character.
func (f *Stdio) EndInput() {
	if f.PTY {
		_, _ = f.In.Write([]byte{4})
		return
	}
	f.In.Close()
}
