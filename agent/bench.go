package main

import (
	"net/http"
	"os"
	"time"
)

const (
	maxSpawns     = 1000
	benchedBinary = "/bin/true"
)

// benchSpawn measures fork, exec and wait of /bin/true without the channel: what an exec cannot go below.
func (a *agent) benchSpawn(r *http.Request) (any, error) {
	var body struct {
		Count int `json:"count"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if body.Count < 1 || body.Count > maxSpawns {
		return nil, badField("count", "1 to 1000")
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	files := []uintptr{null.Fd(), null.Fd(), null.Fd()}
	times := make([]int64, 0, body.Count)
	for range body.Count {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		began := time.Now()
		p, err := startProcess(nil, benchedBinary, []string{benchedBinary}, nil, "/", nil, files, false)
		if err != nil {
			return nil, err
		}
		p.awaitExit()
		p.reap()
		times = append(times, time.Since(began).Nanoseconds())
	}
	return map[string][]int64{"ns": times}, nil
}
