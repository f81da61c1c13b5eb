package journal

import (
	"strings"
	"testing"
)

func texts(j *Journal, after uint64) []string {
	found := []string{}
	lines, _ := j.After(after)
	for _, line := range lines {
		found = append(found, levelNames[line.Level]+" "+line.Text)
	}
	return found
}

func TestJournalKeepsWhatItsLevelSays(t *testing.T) {
	j := New(LevelWarn)
	j.Add(LevelInfo, "no")
	j.Add(levelError, "one")
	j.SetLevel(LevelDebug)
	j.Add(LevelDebug, "two")
	if got := strings.Join(texts(j, 0), ","); got != "error one,debug two" {
		t.Fatalf("the journal holds %s", got)
	}
	if got := strings.Join(texts(j, 1), ","); got != "debug two" {
		t.Fatalf("after the first line: %s", got)
	}
}

func TestJournalIsBounded(t *testing.T) {
	j := New(LevelInfo)
	for range 10 * maxJournal {
		j.Add(LevelInfo, strings.Repeat("é", maxJournalLine))
	}
	lines, _ := j.After(0)
	if len(lines) > maxJournal || lines[len(lines)-1].Seq != 10*maxJournal {
		t.Fatalf("%d lines, the last is %d", len(lines), lines[len(lines)-1].Seq)
	}
	if text := lines[0].Text; len(text) > maxJournalLine || strings.ToValidUTF8(text, "?") != text {
		t.Fatalf("a line of %d bytes", len(text))
	}
	if exported := j.Export(); exported != "" {
		t.Fatalf("%d bytes for the environment", len(exported))
	}
}

func TestJournalOfProcessOneComesFirst(t *testing.T) {
	first, second := New(LevelDebug), New(LevelInfo)
	first.Add(LevelDebug, "boot")
	second.Add(LevelInfo, "serving")
	second.Load(first.Export())
	second.Load("[")
	second.Add(LevelInfo, "more")
	if got := strings.Join(texts(second, 0), ","); got != "debug boot,info serving,info more" {
		t.Fatalf("the journal holds %s", got)
	}
}
