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

// untilManager is the value of until for which a wait ends before the distribution has booted.
const untilManager = "manager"

type waitBody struct {
	TimeoutS float64 `json:"timeout_s"`
	Until    string  `json:"until"` // of bootWait alone
}

// readWait reads how long a call may wait, and for what.
func readWait(r *http.Request) (waitBody, time.Duration, error) {
	var body waitBody
	if err := wire.ReadBody(r, &body); err != nil {
		return body, 0, err
	}
	if !(body.TimeoutS > 0 && body.TimeoutS <= maxWait) {
		return body, 0, wire.BadField("timeout_s", "more than 0, at most 3600")
	}
	if body.Until != "" && body.Until != "booted" && body.Until != untilManager {
		return body, 0, wire.BadField("until", "not booted and not manager")
	}
	return body, time.Duration(body.TimeoutS * float64(time.Second)), nil
}

// bootWait answers when the distribution has finished booting, or when the given time is over.
func (a *agent) bootWait(r *http.Request) (any, error) {
	body, timeout, err := readWait(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if !a.real {
		return initsystem.State{State: "none"}, nil
	}
	if body.Until == untilManager {
		return initsystem.WaitManager(ctx, a.initName, timeout), nil
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
	_, timeout, err := readWait(r)
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
