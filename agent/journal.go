package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// What the journal keeps for a host that reads late: lines, and bytes of one line.
	maxJournal     = 512
	maxJournalLine = 1000
	// The lines of process 1, handed to the serving copy.
	journalEnvironment    = "GAOVM_JOURNAL"
	maxJournalEnvironment = 32 << 10
)

type logLevel int

const (
	levelError logLevel = iota
	levelWarn
	levelInfo
	levelDebug
)

var levelNames = [...]string{"error", "warn", "info", "debug"}

// journalLine is one line; At is CLOCK_BOOTTIME in nanoseconds.
type journalLine struct {
	Seq   uint64   `json:"s"`
	At    int64    `json:"t"`
	Level logLevel `json:"l"`
	Text  string   `json:"m"`
}

// journalWire is a line as the host gets it: with its age, because the guest's clock means nothing to the host.
type journalWire struct {
	Seq     uint64 `json:"seq"`
	AgeMS   int64  `json:"age_ms"`
	Level   string `json:"level"`
	Message string `json:"message"`
}

// journal keeps the last lines in memory.
type journal struct {
	mu      sync.Mutex
	level   logLevel
	lines   []journalLine // oldest first; guarded by mu
	next    uint64
	changed chan struct{} // closed and replaced when a line is added
}

// own is this process' journal. Process 1 keeps everything; the serving copy what the host asks for.
var own = newJournal(levelDebug)

func newJournal(level logLevel) *journal {
	return &journal{level: level, next: 1, changed: make(chan struct{})}
}

// on tells whether a line of this level is kept: ask before making an expensive one.
func (j *journal) on(level logLevel) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return level <= j.level
}

func (j *journal) add(level logLevel, text string) {
	if len(text) > maxJournalLine {
		text = strings.ToValidUTF8(text[:maxJournalLine], "")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if level > j.level {
		return
	}
	if len(j.lines) == maxJournal {
		j.lines = append(j.lines[:0], j.lines[maxJournal/4:]...)
	}
	j.lines = append(j.lines, journalLine{j.next, bootNanoseconds(), level, text})
	j.next++
	close(j.changed)
	j.changed = make(chan struct{})
}

// setLevel says which lines are kept from now on.
func (j *journal) setLevel(level logLevel) {
	j.mu.Lock()
	j.level = level
	j.mu.Unlock()
}

// after returns the lines behind seq, and a channel that is closed when there are more.
func (j *journal) after(seq uint64) ([]journalLine, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := len(j.lines)
	for from > 0 && j.lines[from-1].Seq > seq {
		from--
	}
	return append([]journalLine(nil), j.lines[from:]...), j.changed
}

// export is the journal for another process of the agent, in one environment variable; "" when it does not fit.
func (j *journal) export() string {
	lines, _ := j.after(0)
	body, err := json.Marshal(lines)
	if err != nil || len(body) > maxJournalEnvironment {
		return ""
	}
	return string(body)
}

// load takes over what another process exported.
func (j *journal) load(exported string) {
	var lines []journalLine
	if exported == "" || json.Unmarshal([]byte(exported), &lines) != nil || len(lines) == 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(lines, j.lines...)
	for i := range j.lines {
		j.lines[i].Seq = uint64(i) + 1
	}
	j.next = uint64(len(j.lines)) + 1
}

// journalBody is the body of POST /v1/log.
type journalBody struct {
	Level string `json:"level"`
	After uint64 `json:"after"`
}

// log streams the journal as lines of JSON, until the host has heard enough.
func (a *agent) log(w http.ResponseWriter, r *http.Request) {
	var body journalBody
	if err := readBody(r, &body); err != nil {
		writeError(w, err)
		return
	}
	level, ok := levelOf(body.Level)
	if !ok {
		writeError(w, badField("level", "error, warn, info or debug"))
		return
	}
	own.setLevel(level)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	flush := w.(http.Flusher).Flush
	flush()
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for seq := body.After; ; {
		lines, changed := own.after(seq)
		for _, line := range lines {
			seq = line.Seq
			if line.Level > level {
				continue
			}
			age := (bootNanoseconds() - line.At) / int64(time.Millisecond)
			if encoder.Encode(journalWire{line.Seq, age, levelNames[line.Level], line.Text}) != nil {
				return
			}
		}
		flush()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func levelOf(name string) (logLevel, bool) {
	for i, known := range levelNames {
		if name == known {
			return logLevel(i), true
		}
	}
	return levelInfo, false
}
