package network

import (
	"testing"
)

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
