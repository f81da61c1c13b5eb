package exec

import (
	"encoding/json"
	"net/http"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/wire"
)

// SignalCall sends a signal to the process group of a running exec. It needs no frame of the exec's
// stream, whose window may be full of stdin.
func (r *Runner) SignalCall(request *http.Request) (any, error) {
	var body struct {
		PID    int             `json:"pid"`
		Signal json.RawMessage `json:"signal"`
	}
	if err := wire.ReadBody(request, &body); err != nil {
		return nil, err
	}
	sig, err := process.ParseSignal(body.Signal)
	if err != nil {
		return nil, err
	}
	p := r.live.Find(body.PID)
	if p == nil {
		return nil, wire.Fail(wire.CodeNotFound, "no running exec has this pid")
	}
	if err := p.Signal(sig); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}
