package ports

import (
	"net"
	"strconv"
	"testing"
)

// listening returns whether the tables have a listener of this protocol and port on the loopback.
func listening(t *testing.T, look *tables, proto, address string) bool {
	t.Helper()
	host, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	found, more := look.Listening()
	if more {
		t.Fatal("the tables do not hold all")
	}
	return found[Listener{Proto: proto, Address: host, Port: uint16(port)}]
}

func TestTablesFollowSockets(t *testing.T) {
	all := [][2]uint16{{1, 65535}}
	own := NewOwn(false)
	look, err := newTables(all, all, own)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// A connection is no listener, and stands behind them in the table.
	client, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if !listening(t, look, "tcp", tcp.Addr().String()) || !listening(t, look, "udp", udp.LocalAddr().String()) {
		t.Fatal("a listener is missing")
	}
	if listening(t, look, "tcp", client.LocalAddr().String()) {
		t.Fatal("a client is no listener")
	}
	tcp.Close()
	udp.Close()
	if listening(t, look, "tcp", tcp.Addr().String()) || listening(t, look, "udp", udp.LocalAddr().String()) {
		t.Fatal("a closed socket is still there")
	}
}

func TestTablesLeaveOutWhatNobodyAsksFor(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	port := uint16(tcp.Addr().(*net.TCPAddr).Port)
	entry := Listener{Proto: "tcp", Address: "127.0.0.1", Port: port}
	for _, test := range []struct {
		tcp  [][2]uint16
		own  bool
		want bool
	}{
		{[][2]uint16{{port, port}}, false, true},
		{[][2]uint16{{1, port - 1}, {port + 1, 65535}}, false, false},
		{nil, false, false},
		{[][2]uint16{{port, port}}, true, false},
	} {
		own := NewOwn(false)
		if test.own {
			own.listeners[entry] = true
		}
		look, err := newTables(test.tcp, nil, own)
		if err != nil {
			t.Fatal(err)
		}
		found, _ := look.Listening()
		if found[entry] != test.want {
			t.Fatalf("%v: got %v", test, found)
		}
		look.Close()
	}
}

func TestTablesReportBoundedNumber(t *testing.T) {
	look := &tables{own: NewOwn(false), found: map[Listener]bool{}}
	of := table{proto: "tcp", state: tcpListen, ranges: [][2]uint16{{1, 65535}}}
	fits := true
	for port := 1; port <= maxWatched+1; port++ {
		text := "0: 0100007F:" + strconv.FormatInt(int64(0x10000+port), 16)[1:] + " 00000000:0000 0A 0:0"
		_, fits = look.line(of, []byte(text))
	}
	if fits || len(look.found) != maxWatched {
		t.Fatalf("%d listeners are found, all: %v", len(look.found), fits)
	}
}
