package ports

// events says when a socket of the guest may have begun or ceased to wait for peers.
type events struct {
	Heard chan struct{}
}

// newEvents returns nil where the kernel gives no such events.
func newEvents() *events { return nil }

// Close ends the events.
func (e *events) Close() {}
