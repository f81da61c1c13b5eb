package network

import (
	"context"

	"gaovm/agent/internal/journal"
)

// Online tells whether the network of the kernel command line is set up.
type Online struct {
	begun chan struct{} // closed when setting it up has ended
	err   error         // why that failed; written before begun is closed
}

// State is the answer to POST /v1/network/wait.
type State struct {
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
}

// NewOnline returns the state of a network that is not set up yet.
func NewOnline() *Online { return &Online{begun: make(chan struct{})} }

// Finish records how setting it up has ended. Call it once.
func (o *Online) Finish(err error) {
	if o.err = err; err != nil {
		journal.Warn("network: " + err.Error())
	} else {
		journal.Info("the network is set up")
	}
	close(o.begun)
}

// Wait returns when setting it up has ended, or at the end of the context.
func (o *Online) Wait(ctx context.Context) State {
	select {
	case <-ctx.Done():
		return State{State: "timeout"}
	case <-o.begun:
	}
	if o.err != nil {
		return State{State: "failed", Detail: o.err.Error()}
	}
	return State{State: "up"}
}
