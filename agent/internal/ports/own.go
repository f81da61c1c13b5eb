package ports

import (
	"net"
	"sync"
)

// Own is the agent's own part of the guest's ports: the sockets on which it listens for the host,
// and the connections to them that the host has not taken yet.
type Own struct {
	real      bool // false: development mode, which changes nothing of the machine
	mu        sync.Mutex
	listeners map[Listener]bool
	waiting   map[string]net.Conn
	next      uint64
}

// NewOwn returns an agent's part that listens nowhere.
func NewOwn(real bool) *Own {
	return &Own{real: real, listeners: map[Listener]bool{}, waiting: map[string]net.Conn{}}
}

// has tells whether a socket is the agent's own: such a one is never forwarded to the host.
func (o *Own) has(entry Listener) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.listeners[entry]
}
