package main

import (
	"reflect"
	"testing"
)

func TestParseSockets(t *testing.T) {
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   2: 0F02000A:0016 0202000A:C000 01 00000000:00000000 00:00000000 00000000     0
   3: broken:0016 0202000A:C000 0A
`
	want := []listener{{"tcp", "127.0.0.1", 8080}}
	if got := parseSockets(table, "tcp", tcpListen); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v", got)
	}
	six := "  0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0\n" +
		"  1: 00000000000000000000000000000000:0051 00000000000000000000000000000000:0000 0A 0:0\n"
	want = []listener{{"tcp", "::1", 80}, {"tcp", "::", 81}}
	if got := parseSockets(six, "tcp", tcpListen); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v", got)
	}
}

func TestDHCPRoundTrip(t *testing.T) {
	mac := []byte{2, 0, 0, 0, 0, 1}
	address := addressList([]byte{10, 0, 2, 15})[0]
	server := addressList([]byte{10, 0, 2, 2})[0]
	request := dhcpMessage(dhcpRequest, 7, mac, server, address, server)
	packet := broadcastPacket(request)
	if ipChecksum(packet[:ipHeaderSize]) != 0 || dhcpPayload(packet) != nil {
		t.Fatal("a client's packet is well formed and is not an answer")
	}
	answer := append([]byte(nil), request...)
	answer[0] = 2
	copy(answer[16:20], []byte{10, 0, 2, 15})
	packet = broadcastPacket(answer)
	packet[22], packet[23] = 0, dhcpClientPort
	kind, got := parseDHCP(dhcpPayload(packet), 7, mac)
	if kind != dhcpRequest || got.address.String() != "10.0.2.15/24" || got.serverID != server {
		t.Fatalf("got %d %+v", kind, got)
	}
	if kind, _ := parseDHCP(answer, 8, mac); kind != 0 {
		t.Error("took another transaction's answer")
	}
	for i := range packet { // no prefix of an answer may crash the parser
		parseDHCP(dhcpPayload(packet[:i]), 7, mac)
		parseDHCP(packet[:i], 7, mac)
	}
}

func TestExtGeometry(t *testing.T) {
	super := make([]byte, 1024)
	if _, _, ok := extGeometry(super); ok {
		t.Error("took zeros for a superblock")
	}
	super[0x38], super[0x39], super[0x18], super[0x05] = 0x53, 0xEF, 2, 1
	if blocks, size, ok := extGeometry(super); !ok || blocks != 256 || size != 4096 {
		t.Errorf("got %d %d %v", blocks, size, ok)
	}
}

func TestStatGroup(t *testing.T) {
	if got := statGroup("12 (a b) c) S 1 99 12 0"); got != 99 {
		t.Errorf("got %d", got)
	}
	if got := statGroup("nonsense"); got != -1 {
		t.Errorf("got %d", got)
	}
}
