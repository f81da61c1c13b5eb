package ports

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

const (
	tableChunk = 16 << 10
	// A table of more than this is cut: what the guest has beyond it is not forwarded.
	maxTable = 4 << 20
)

// tables reads the kernel's tables of sockets again and again, through the same descriptors.
type tables struct {
	files []table
	own   *Own
	found map[Listener]bool
	buf   []byte
}

type table struct {
	file   *os.File
	proto  string
	state  string
	ranges [][2]uint16
}

// newTables opens the tables in which a listener of the ranges can be.
func newTables(tcp, udp [][2]uint16, own *Own) (*tables, error) {
	t := &tables{own: own, found: map[Listener]bool{}, buf: make([]byte, tableChunk)}
	for _, each := range []struct {
		path, proto, state string
		ranges             [][2]uint16
	}{
		{"/proc/net/tcp", "tcp", tcpListen, tcp}, {"/proc/net/tcp6", "tcp", tcpListen, tcp},
		{"/proc/net/udp", "udp", udpUnconnected, udp}, {"/proc/net/udp6", "udp", udpUnconnected, udp},
	} {
		if len(each.ranges) == 0 {
			continue
		}
		file, err := os.Open(each.path)
		if os.IsNotExist(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			t.Close()
			return nil, err
		}
		t.files = append(t.files, table{file, each.proto, each.state, each.ranges})
	}
	return t, nil
}

// Close closes the tables.
func (t *tables) Close() {
	for _, each := range t.files {
		each.file.Close()
	}
}

// Listening returns the sockets that wait for peers now, and whether there are more than the watch
// reports. The map is the next call's too.
func (t *tables) Listening() (map[Listener]bool, bool) {
	clear(t.found)
	more := false
	for _, each := range t.files {
		more = t.read(each) || more
	}
	return t.found, more
}

// read adds the listeners of one table; true: some did not fit.
func (t *tables) read(of table) bool {
	rest, offset, more := 0, int64(0), false
	for offset < maxTable {
		n, err := unix.Pread(int(of.file.Fd()), t.buf[rest:], offset)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return more
		}
		offset += int64(n)
		text := t.buf[:rest+n]
		for {
			end := bytes.IndexByte(text, '\n')
			if end < 0 {
				break
			}
			goOn, fits := t.line(of, text[:end])
			if !goOn {
				return more
			}
			more = more || !fits
			text = text[end+1:]
		}
		if rest = copy(t.buf, text); rest == len(t.buf) {
			return more // no line is so long
		}
	}
	return true
}

// line takes one line of a table. goOn: more lines may be listeners; the table of TCP has its
// listeners first. fits: the line is no listener, or there was room for it.
func (t *tables) line(of table, line []byte) (goOn, fits bool) {
	local, state := socketFields(line)
	if bytes.IndexByte(local, ':') < 0 {
		return true, true // the head
	}
	if string(state) != of.state {
		return of.proto != "tcp", true
	}
	address, port, ok := parseSocketAddress(string(local))
	if !ok || !within(of.ranges, port) {
		return true, true
	}
	entry := Listener{Proto: of.proto, Address: address, Port: port}
	if t.own.has(entry) || t.found[entry] {
		return true, true
	}
	if len(t.found) >= maxWatched {
		return true, false
	}
	t.found[entry] = true
	return true, true
}

// socketFields returns the local address and the state of a line "sl: local remote st …".
func socketFields(line []byte) (local, state []byte) {
	for i := 0; i < 4; i++ {
		line = bytes.TrimLeft(line, " ")
		end := bytes.IndexByte(line, ' ')
		if end < 0 {
			return nil, nil
		}
		switch i {
		case 1:
			local = line[:end]
		case 3:
			state = line[:end]
		}
		line = line[end:]
	}
	return local, state
}

func within(ranges [][2]uint16, port uint16) bool {
	for _, each := range ranges {
		if each[0] <= port && port <= each[1] {
			return true
		}
	}
	return false
}
