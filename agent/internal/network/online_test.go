package network

import (
	"context"
	"errors"
	"testing"
)

func TestOnlineTellsHowTheSetUpEnded(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if state := NewOnline().Wait(ended); state.State != "timeout" {
		t.Errorf("got %+v before the end", state)
	}
	up, failed := NewOnline(), NewOnline()
	up.Finish(nil)
	failed.Finish(errors.New("no device"))
	if state := up.Wait(context.Background()); state.State != "up" || state.Detail != "" {
		t.Errorf("got %+v", state)
	}
	if state := failed.Wait(context.Background()); state.State != "failed" || state.Detail != "no device" {
		t.Errorf("got %+v", state)
	}
}
