package ports

import (
	"encoding/json"
	"net/http"
	"time"

	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/wire"
)

const (
	maxRanges = 512
	// The watch reports at most so many listeners; a guest can listen on every port.
	maxWatched = 1024
	// A look follows an event after this time: a socket's end is announced before it has ended, and
	// a server that starts opens several sockets.
	settleTime = 5 * time.Millisecond
	// At most one look in this time, however many sockets open and close.
	lookPause = 50 * time.Millisecond
	// Without events the watch looks so often.
	pollPause = 75 * time.Millisecond
	// With events the watch still looks now and then, and takes to polling when events fail it.
	checkPause = 2 * time.Second
	retryPause = 3 * time.Second
	maxMissed  = 3
)

// watchBody is the body of POST /v1/listeners: the ports that the host may forward.
type watchBody struct {
	TCP [][2]uint16 `json:"tcp"`
	UDP [][2]uint16 `json:"udp"`
}

// change is one line of the answer. The first line has everything that listens. More says that
// there are more listeners than the watch reports.
type change struct {
	Opened []Listener `json:"opened"`
	Closed []Listener `json:"closed"`
	More   bool       `json:"more,omitempty"`
}

// Watch streams, as lines of JSON, which sockets of the guest begin and cease to wait for peers,
// until the host ends the call.
func (o *Own) Watch(w http.ResponseWriter, r *http.Request) {
	var body watchBody
	if err := wire.ReadBody(r, &body); err != nil {
		wire.WriteError(w, err)
		return
	}
	if len(body.TCP) > maxRanges || len(body.UDP) > maxRanges {
		wire.WriteError(w, wire.BadField("tcp, udp", "at most 512 ranges each"))
		return
	}
	look, err := newTables(body.TCP, body.UDP, o)
	if err != nil {
		wire.WriteError(w, wire.Fail(wire.CodeUnsupported, err.Error()))
		return
	}
	defer look.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	encoder := json.NewEncoder(w)
	flush := w.(http.Flusher).Flush
	tell := func(found change) bool {
		if encoder.Encode(found) != nil {
			return false
		}
		flush()
		return true
	}
	watch := &watch{look: look, known: map[Listener]bool{}, events: o.real, udp: len(body.UDP) > 0}
	if watch.step(); !tell(watch.first()) {
		return
	}
	watch.run(r.Context().Done(), tell)
}

// watch compares what listens with what the host knows.
type watch struct {
	look  *tables
	known map[Listener]bool
	more  bool
	// events: the kernel may be asked for events; udp: also of UDP sockets.
	events, udp bool
}

func (w *watch) first() change {
	found := change{Opened: []Listener{}, Closed: []Listener{}, More: w.more}
	for each := range w.known {
		found.Opened = append(found.Opened, each)
	}
	return found
}

// step looks once and returns what is new; false: nothing is.
func (w *watch) step() (change, bool) {
	now, more := w.look.Listening()
	found := change{Opened: []Listener{}, Closed: []Listener{}, More: more}
	for each := range now {
		if !w.known[each] {
			found.Opened = append(found.Opened, each)
		}
	}
	for each := range w.known {
		if !now[each] {
			found.Closed = append(found.Closed, each)
		}
	}
	changed := len(found.Opened)+len(found.Closed) > 0 || more != w.more
	if changed {
		w.known, w.more = make(map[Listener]bool, len(now)), more
		for each := range now {
			w.known[each] = true
		}
	}
	return found, changed
}

// run looks after events, or all the time where the kernel gives none, and tells each change.
func (w *watch) run(done <-chan struct{}, tell func(change) bool) {
	var source *events
	defer func() {
		if source != nil {
			source.Close()
		}
	}()
	timer := time.NewTimer(pollPause)
	defer timer.Stop()
	missed, retryAt := 0, time.Now()
	for {
		if source == nil && w.events && missed < maxMissed && !time.Now().Before(retryAt) {
			// A distribution mounts its cgroups some time after its init has begun.
			source, retryAt = newEvents(w.udp), time.Now().Add(retryPause)
		}
		pause, heard := pollPause, (<-chan struct{})(nil)
		if source != nil {
			pause, heard = checkPause, source.Heard
		}
		timer.Reset(pause)
		announced := source == nil
		select {
		case <-done:
			return
		case <-heard:
			announced = true
			time.Sleep(settleTime)
		case <-timer.C:
		}
		found, changed := w.step()
		if changed && !tell(found) {
			return
		}
		if changed && !announced {
			if missed++; missed >= maxMissed {
				journal.Warn("the kernel does not announce sockets: the agent looks for them")
				source.Close()
				source = nil
			}
		}
	}
}
