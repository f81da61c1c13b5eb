package ports

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"gaovm/agent/internal/sys"
)

// Listener is a socket that waits for peers.
type Listener struct {
	Proto   string `json:"proto"`
	Address string `json:"address"`
	Port    uint16 `json:"port"`
}

const maxListeners = 2048

// The states of /proc/net/tcp and /proc/net/udp in which a socket waits for any peer.
const (
	tcpListen      = "0A"
	udpUnconnected = "07"
)

// Listeners returns the TCP and UDP sockets of the guest that wait for peers.
func Listeners() []Listener {
	found := []Listener{}
	for _, table := range []struct{ path, proto, state string }{
		{"/proc/net/tcp", "tcp", tcpListen}, {"/proc/net/tcp6", "tcp", tcpListen},
		{"/proc/net/udp", "udp", udpUnconnected}, {"/proc/net/udp6", "udp", udpUnconnected},
	} {
		if body, err := sys.ReadBounded(table.path, sys.MaxProcFile); err == nil {
			found = append(found, parseSockets(string(body), table.proto, table.state)...)
		}
	}
	if len(found) > maxListeners {
		found = found[:maxListeners]
	}
	return found
}

// parseSockets returns the sockets of a table of /proc/net that are in the state, each address and
// port once.
func parseSockets(body, proto, state string) []Listener {
	var found []Listener
	seen := make(map[Listener]bool)
	for _, line := range strings.Split(body, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		address, port, ok := parseSocketAddress(fields[1])
		entry := Listener{Proto: proto, Address: address, Port: port}
		if ok && !seen[entry] {
			seen[entry] = true
			found = append(found, entry)
		}
	}
	return found
}

// parseSocketAddress reads "0100007F:1F90": 32 bit words in the machine's byte order, which is
// little endian on every machine that the agent is built for.
func parseSocketAddress(text string) (string, uint16, bool) {
	host, portText, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw) != 4 && len(raw) != 16 {
		return "", 0, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.LittleEndian.Uint32(raw[i:]))
	}
	port, err := strconv.ParseUint(portText, 16, 16)
	address, ok := netip.AddrFromSlice(raw)
	return address.String(), uint16(port), ok && err == nil
}
