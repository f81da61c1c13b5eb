// Package journal keeps the last lines of the agent's log in memory, streams them to the host, and
// writes warnings to the kernel's log.
package journal

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

const (
	// The journal keeps this many lines, of this many bytes each, for a host that reads late.
	maxJournal     = 512
	maxJournalLine = 1000
	// Carries the lines of process 1 to the serving copy.
	Environment           = "GAOVM_JOURNAL"
	maxJournalEnvironment = 32 << 10
)

type logLevel int

const (
	levelError logLevel = iota
	LevelWarn
	LevelInfo
	LevelDebug
)

var levelNames = [...]string{"error", "warn", "info", "debug"}

// journalLine is one line; At is CLOCK_BOOTTIME in nanoseconds.
type journalLine struct {
	Seq   uint64   `json:"s"`
	At    int64    `json:"t"`
	Level logLevel `json:"l"`
	Text  string   `json:"m"`
}

// Wire is a line as the host gets it. It has an age, because the guest's clock means nothing to the
// host.
type Wire struct {
	Seq     uint64 `json:"seq"`
	AgeMS   int64  `json:"age_ms"`
	Level   string `json:"level"`
	Message string `json:"message"`
}

// Journal keeps the last lines in memory.
type Journal struct {
	mu      sync.Mutex
	level   logLevel
	lines   []journalLine // oldest first; guarded by mu
	next    uint64
	changed chan struct{} // closed and replaced when a line is added
}

// Own is the journal of this process. Process 1 keeps every line, the serving copy those that the
// host asks for.
var Own = New(LevelDebug)

// New returns an empty journal that keeps lines of this level or worse.
func New(level logLevel) *Journal {
	return &Journal{level: level, next: 1, changed: make(chan struct{})}
}

// On tells whether the journal keeps lines of this level. Ask it before you make an expensive line.
func (j *Journal) On(level logLevel) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return level <= j.level
}

// Add adds a line. It cuts a long one, and drops the oldest lines when there are too many.
func (j *Journal) Add(level logLevel, text string) {
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
	j.lines = append(j.lines, journalLine{j.next, sys.BootNanoseconds(), level, text})
	j.next++
	close(j.changed)
	j.changed = make(chan struct{})
}

// SetLevel makes the journal keep lines of this level or worse from now on.
func (j *Journal) SetLevel(level logLevel) {
	j.mu.Lock()
	j.level = level
	j.mu.Unlock()
}

// After returns the lines after number seq, and a channel that the journal closes when it gets another
// one.
func (j *Journal) After(seq uint64) ([]journalLine, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := len(j.lines)
	for from > 0 && j.lines[from-1].Seq > seq {
		from--
	}
	return append([]journalLine(nil), j.lines[from:]...), j.changed
}

// Export returns the lines as the value of an environment variable, for another process of the
// agent, or "" when they are too long.
func (j *Journal) Export() string {
	lines, _ := j.After(0)
	body, err := json.Marshal(lines)
	if err != nil || len(body) > maxJournalEnvironment {
		return ""
	}
	return string(body)
}

// Load puts the lines that another process has exported before its own.
func (j *Journal) Load(exported string) {
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

// Body is the body of POST /v1/log.
type Body struct {
	Level string `json:"level"`
	After uint64 `json:"after"`
}

// Serve streams the journal as lines of JSON until the host ends the call.
func Serve(w http.ResponseWriter, r *http.Request) {
	var body Body
	if err := wire.ReadBody(r, &body); err != nil {
		wire.WriteError(w, err)
		return
	}
	level, ok := levelOf(body.Level)
	if !ok {
		wire.WriteError(w, wire.BadField("level", "error, warn, info or debug"))
		return
	}
	Own.SetLevel(level)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	flush := w.(http.Flusher).Flush
	flush()
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for seq := body.After; ; {
		lines, changed := Own.After(seq)
		for _, line := range lines {
			seq = line.Seq
			if line.Level > level {
				continue
			}
			age := (sys.BootNanoseconds() - line.At) / int64(time.Millisecond)
			if encoder.Encode(Wire{line.Seq, age, levelNames[line.Level], line.Text}) != nil {
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
	return LevelInfo, false
}
