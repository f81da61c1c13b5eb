package server

import (
	"context"
	"net/http"
	"time"

	"gaovm/agent/internal/initsystem"
	"gaovm/agent/internal/network"
	"gaovm/agent/internal/wire"
)

const maxWait = 3600 // seconds

// waitLimit reads how long a call may wait from its body.
func waitLimit(r *http.Request) (time.Duration, error) {
	var body struct {
		TimeoutS float64 `json:"timeout_s"`
	}
	if err := wire.ReadBody(r, &body); err != nil {
		return 0, err
	}
	if !(body.TimeoutS > 0 && body.TimeoutS <= maxWait) {
		return 0, wire.BadField("timeout_s", "more than 0, at most 3600")
	}
	return time.Duration(body.TimeoutS * float64(time.Second)), nil
}

// bootWait answers when the distribution has finished booting, or when the given time is over.
func (a *agent) bootWait(r *http.Request) (any, error) {
	timeout, err := waitLimit(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if !a.real {
		return initsystem.State{State: "none"}, nil
	}
	state := initsystem.Wait(ctx, a.initName, timeout)
	if state.State != "timeout" {
		a.afterBoot()
	}
	return state, nil
}

// afterBoot does the work that has to wait until the distribution has booted.
func (a *agent) afterBoot() {
	a.accounts.AfterBoot()
	a.cgroups.Recheck()
}

// networkWait answers when setting up the network has ended, or when the given time is over.
func (a *agent) networkWait(r *http.Request) (any, error) {
	timeout, err := waitLimit(r)
	if err != nil {
		return nil, err
	}
	if !a.real {
		return network.State{State: "up"}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	return a.online.Wait(ctx), nil
}
