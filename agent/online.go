package main

import (
	"context"
	"net/http"
	"time"
)

// online is whether the network that the kernel command line asks for is set up.
type online struct {
	begun chan struct{} // closed when it is, or cannot be
	err   error         // why it is not; written before begun is closed
}

type onlineState struct {
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
}

func newOnline() *online { return &online{begun: make(chan struct{})} }

// finish tells how it went. Called once.
func (o *online) finish(err error) {
	if o.err = err; err != nil {
		warn("network: " + err.Error())
	} else {
		inform("the network is set up")
	}
	close(o.begun)
}

// networkWait returns when the network is set up, when it cannot be, or at the end of the time given.
func (a *agent) networkWait(r *http.Request) (any, error) {
	var body struct {
		TimeoutS float64 `json:"timeout_s"`
	}
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if !(body.TimeoutS > 0 && body.TimeoutS <= maxBootWait) {
		return nil, badField("timeout_s", "more than 0, at most 3600")
	}
	if !a.real {
		return onlineState{State: "up"}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(body.TimeoutS*float64(time.Second)))
	defer cancel()
	select {
	case <-ctx.Done():
		return onlineState{State: "timeout"}, nil
	case <-a.online.begun:
	}
	if a.online.err != nil {
		return onlineState{State: "failed", Detail: a.online.err.Error()}, nil
	}
	return onlineState{State: "up"}, nil
}
