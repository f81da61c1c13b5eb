package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func texts(j *journal, after uint64) []string {
	found := []string{}
	lines, _ := j.after(after)
	for _, line := range lines {
		found = append(found, levelNames[line.Level]+" "+line.Text)
	}
	return found
}

func TestJournalKeepsWhatItsLevelSays(t *testing.T) {
	j := newJournal(levelWarn)
	j.add(levelInfo, "no")
	j.add(levelError, "one")
	j.setLevel(levelDebug)
	j.add(levelDebug, "two")
	if got := strings.Join(texts(j, 0), ","); got != "error one,debug two" {
		t.Fatalf("the journal holds %s", got)
	}
	if got := strings.Join(texts(j, 1), ","); got != "debug two" {
		t.Fatalf("after the first line: %s", got)
	}
}

func TestJournalIsBounded(t *testing.T) {
	j := newJournal(levelInfo)
	for range 10 * maxJournal {
		j.add(levelInfo, strings.Repeat("é", maxJournalLine))
	}
	lines, _ := j.after(0)
	if len(lines) > maxJournal || lines[len(lines)-1].Seq != 10*maxJournal {
		t.Fatalf("%d lines, the last is %d", len(lines), lines[len(lines)-1].Seq)
	}
	if text := lines[0].Text; len(text) > maxJournalLine || strings.ToValidUTF8(text, "?") != text {
		t.Fatalf("a line of %d bytes", len(text))
	}
	if exported := j.export(); exported != "" {
		t.Fatalf("%d bytes for the environment", len(exported))
	}
}

func TestJournalOfProcessOneComesFirst(t *testing.T) {
	first, second := newJournal(levelDebug), newJournal(levelInfo)
	first.add(levelDebug, "boot")
	second.add(levelInfo, "serving")
	second.load(first.export())
	second.load("[")
	second.add(levelInfo, "more")
	if got := strings.Join(texts(second, 0), ","); got != "debug boot,info serving,info more" {
		t.Fatalf("the journal holds %s", got)
	}
}

func TestLogIsStreamed(t *testing.T) {
	client, _ := dial(t)
	own.setLevel(levelInfo)
	lines, _ := own.after(0)
	var seq uint64
	if len(lines) > 0 {
		seq = lines[len(lines)-1].Seq
	}
	own.add(levelInfo, "<first>")
	body, _ := json.Marshal(journalBody{"info", seq})
	response, err := client.Post("http://agent/v1/log", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d", response.StatusCode)
	}
	reader := bufio.NewReader(response.Body)
	for _, want := range []string{"<first>", "second"} {
		var got journalWire
		text, err := reader.ReadBytes('\n')
		if err != nil || json.Unmarshal(text, &got) != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got.Message != want || got.Level != "info" || got.AgeMS < 0 || got.AgeMS > int64(time.Minute/time.Millisecond) {
			t.Fatalf("%+v instead of %s", got, want)
		}
		own.add(levelDebug, "not asked for")
		own.add(levelInfo, "second")
	}
}

func TestLogRefusesAnUnknownLevel(t *testing.T) {
	client, _ := dial(t)
	response, err := client.Post("http://agent/v1/log", "application/json", strings.NewReader(`{"level":"loud"}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Fatalf("status %d", response.StatusCode)
	}
}
