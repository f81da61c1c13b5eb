package server

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"gaovm/agent/internal/journal"
)

func TestLogIsStreamed(t *testing.T) {
	client, _ := dial(t)
	call(t, client, "GET", "/v1/ping", "") // answered after the agent has logged the connection
	journal.Own.SetLevel(journal.LevelInfo)
	lines, _ := journal.Own.After(0)
	var seq uint64
	if len(lines) > 0 {
		seq = lines[len(lines)-1].Seq
	}
	journal.Own.Add(journal.LevelInfo, "<first>")
	body, _ := json.Marshal(journal.Body{Level: "info", After: seq})
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
		var got journal.Wire
		text, err := reader.ReadBytes('\n')
		if err != nil || json.Unmarshal(text, &got) != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got.Message != want || got.Level != "info" || got.AgeMS < 0 || got.AgeMS > int64(time.Minute/time.Millisecond) {
			t.Fatalf("%+v instead of %s", got, want)
		}
		journal.Own.Add(journal.LevelDebug, "not asked for")
		journal.Own.Add(journal.LevelInfo, "second")
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
