// Command spawn-bench measures fork, exec and wait of a program (/bin/true unless its words follow
// the count) with the agent's own code: the time that an exec cannot go below. bench/ builds it and copies it into a guest; no image and no
// release carries it.
package main

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strconv"
	"time"

	"gaovm/agent/internal/process"
)

const (
	maxSpawns = 1000
	warmUps   = 3 // the agent has run programs before, so its code and tables are in memory
)

func main() {
	runtime.GOMAXPROCS(1) // as the agent's server
	if err := run(os.Args[1:]); err != nil {
		_, _ = os.Stderr.WriteString("spawn-bench: " + err.Error() + "\n")
		os.Exit(2)
	}
}

// run writes the nanoseconds of each spawn as a JSON list.
func run(args []string) error {
	count, argv, err := spawns(args)
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	files := []uintptr{null.Fd(), null.Fd(), null.Fd()}
	times := make([]int64, 0, warmUps+count)
	for range warmUps + count {
		took, err := spawn(argv, files)
		if err != nil {
			return err
		}
		times = append(times, took.Nanoseconds())
	}
	return json.NewEncoder(os.Stdout).Encode(times[warmUps:])
}

// spawns reads the number of spawns and the program's words from the arguments.
func spawns(args []string) (int, []string, error) {
	if len(args) >= 1 {
		if count, err := strconv.Atoi(args[0]); err == nil && count >= 1 && count <= maxSpawns {
			if len(args) == 1 {
				return count, []string{"/bin/true"}, nil
			}
			return count, args[1:], nil
		}
	}
	return 0, nil, errors.New("usage: spawn-bench COUNT [PROGRAM ARGUMENTS...] (COUNT: 1 to 1000)")
}

func spawn(argv []string, files []uintptr) (time.Duration, error) {
	began := time.Now()
	p, err := process.Start(nil, argv[0], argv, os.Environ(), "/", nil, files, false)
	if err != nil {
		return 0, err
	}
	p.AwaitExit()
	p.Reap()
	return time.Since(began), nil
}
