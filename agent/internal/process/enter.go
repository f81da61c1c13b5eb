package process

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// EnterName is the role of a process that enters a directory and executes a program there.
const EnterName = "gaovm-enter"

const (
	exitNotExecutable = 126 // as a shell says it
	exitNotFound      = 127
)

// Relayed are the file systems whose server this agent itself relays to (SSHFS over its channel).
// The kernel stops a process that forks until its child has executed a program. If the child waited
// for such a file system meanwhile, it would wait for ever; so the agent starts one that can wait.
var Relayed relayed

type relayed struct {
	mu      sync.Mutex
	devices map[uint64]bool
}

// Add notes the file system that is mounted at a path.
func (r *relayed) Add(path string) {
	if device, ok := deviceOf(path); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.devices == nil {
			r.devices = map[uint64]bool{}
		}
		r.devices[device] = true
	}
}

// hold tells whether one of the paths is on such a file system.
func (r *relayed) hold(paths ...string) bool {
	r.mu.Lock()
	none := len(r.devices) == 0
	r.mu.Unlock()
	if none {
		return false
	}
	for _, path := range paths {
		device, ok := deviceOf(path)
		r.mu.Lock()
		found := ok && r.devices[device]
		r.mu.Unlock()
		if found {
			return true
		}
	}
	return false
}

func deviceOf(path string) (uint64, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	found, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(found.Dev), true
}

// entering returns the program that enters the directory and then becomes this one.
func entering(path string, argv []string, cwd string) (string, []string) {
	return Self, append([]string{EnterName, cwd, path}, argv...)
}

// Enter is the role's main function; it returns only when it has failed.
func Enter(args []string) int {
	if len(args) < 4 {
		return exitNotExecutable
	}
	cwd, path, argv := args[1], args[2], args[3:]
	err := os.Chdir(cwd)
	if err == nil {
		err = syscall.Exec(path, argv, os.Environ())
		if errors.Is(err, syscall.ENOEXEC) { // a script whose first line names no interpreter
			err = syscall.Exec("/bin/sh", append([]string{"/bin/sh", path}, argv[1:]...), os.Environ())
		}
		err = &os.PathError{Op: "exec", Path: path, Err: err}
	}
	_, _ = os.Stderr.WriteString(err.Error() + "\n")
	if errors.Is(err, os.ErrNotExist) {
		return exitNotFound
	}
	return exitNotExecutable
}
