package network

import (
	"encoding/binary"
	"net/netip"
)

// DHCP message types and options (RFC 2131, 2132).
const (
	dhcpDiscover = 1
	dhcpOffer    = 2
	dhcpRequest  = 3
	dhcpAck      = 5
	dhcpNak      = 6

	optMask      = 1
	optRouter    = 3
	optDNS       = 6
	optDomain    = 15
	optRequested = 50
	optLease     = 51
	optType      = 53
	optServer    = 54
	optWanted    = 55
	optRenewal   = 58
	optClientID  = 61
	optEnd       = 255

	dhcpFixed       = 236 // bytes before the magic cookie
	dhcpBroadcast   = 0x8000
	ipHeaderSize    = 20
	udpHeaderSize   = 8
	dhcpClientPort  = 68
	dhcpServerPort  = 67
	dhcpMinimumSize = 300 // old servers expect at least this
)

var dhcpCookie = [4]byte{99, 130, 83, 99}

// lease is what a server grants.
type lease struct {
	address  netip.Prefix
	gateway  netip.Addr
	servers  []netip.Addr
	domain   string
	serverID netip.Addr
	seconds  uint32
	renewal  uint32
}

// dhcpMessage builds a request of the given type. current is the address in use (in a renewal),
// requested the wanted one and server the chosen server; each may be left out.
func dhcpMessage(kind byte, xid uint32, mac []byte, current, requested, server netip.Addr) []byte {
	m := make([]byte, dhcpFixed, 512)
	m[0], m[1], m[2] = 1, 1, 6 // BOOTREQUEST, Ethernet, address length
	binary.BigEndian.PutUint32(m[4:], xid)
	// The server broadcasts its answer: until the address is set, the kernel drops packets to it.
	binary.BigEndian.PutUint16(m[10:], dhcpBroadcast)
	if current.IsValid() {
		copy(m[12:16], current.AsSlice())
	}
	copy(m[28:34], mac)
	m = append(m, dhcpCookie[:]...)
	m = append(m, optType, 1, kind)
	m = append(append(m, optClientID, 7, 1), mac...)
	if requested.IsValid() {
		m = append(append(m, optRequested, 4), requested.AsSlice()...)
	}
	if server.IsValid() {
		m = append(append(m, optServer, 4), server.AsSlice()...)
	}
	m = append(m, optWanted, 6, optMask, optRouter, optDNS, optDomain, optLease, optRenewal, optEnd)
	if len(m) < dhcpMinimumSize {
		m = m[:dhcpMinimumSize]
	}
	return m
}

// parseDHCP reads an answer to this transaction. It returns type 0 for any other message.
func parseDHCP(m []byte, xid uint32, mac []byte) (byte, lease) {
	var l lease
	if len(m) < dhcpFixed+4 || m[0] != 2 || binary.BigEndian.Uint32(m[4:]) != xid ||
		string(m[28:34]) != string(mac) || [4]byte(m[dhcpFixed:]) != dhcpCookie {
		return 0, l
	}
	options := dhcpOptions(m[dhcpFixed+4:])
	kind, ok := options[optType]
	address, _ := netip.AddrFromSlice(m[16:20])
	if !ok || len(kind) != 1 {
		return 0, l
	}
	bits := 24
	if mask, ok := netip.AddrFromSlice(options[optMask]); ok && mask.Is4() {
		if n, ok := maskBits(mask.String()); ok {
			bits = n
		}
	}
	l.address = netip.PrefixFrom(address, bits)
	if routers := addressList(options[optRouter]); len(routers) > 0 {
		l.gateway = routers[0]
	}
	l.servers, l.domain = addressList(options[optDNS]), string(options[optDomain])
	if ids := addressList(options[optServer]); len(ids) == 1 {
		l.serverID = ids[0]
	}
	l.seconds, l.renewal = seconds(options[optLease]), seconds(options[optRenewal])
	return kind[0], l
}

func dhcpOptions(raw []byte) map[byte][]byte {
	found := make(map[byte][]byte)
	for len(raw) > 0 && raw[0] != optEnd {
		if raw[0] == 0 { // padding
			raw = raw[1:]
			continue
		}
		if len(raw) < 2 || len(raw) < 2+int(raw[1]) {
			break
		}
		found[raw[0]] = raw[2 : 2+int(raw[1])]
		raw = raw[2+int(raw[1]):]
	}
	return found
}

func addressList(raw []byte) []netip.Addr {
	var list []netip.Addr
	for ; len(raw) >= 4; raw = raw[4:] {
		list = append(list, netip.AddrFrom4([4]byte(raw[:4])))
	}
	return list
}

func seconds(raw []byte) uint32 {
	if len(raw) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(raw)
}

// broadcastPacket wraps a message in UDP and IP, from 0.0.0.0 to the broadcast address.
func broadcastPacket(message []byte) []byte {
	total := ipHeaderSize + udpHeaderSize + len(message)
	p := make([]byte, ipHeaderSize+udpHeaderSize, total)
	p[0], p[8], p[9] = 0x45, 64, 17 // version and length, TTL, UDP
	binary.BigEndian.PutUint16(p[2:], uint16(total))
	copy(p[16:20], []byte{255, 255, 255, 255})
	binary.BigEndian.PutUint16(p[10:], ipChecksum(p[:ipHeaderSize]))
	binary.BigEndian.PutUint16(p[20:], dhcpClientPort)
	binary.BigEndian.PutUint16(p[22:], dhcpServerPort)
	binary.BigEndian.PutUint16(p[24:], uint16(udpHeaderSize+len(message))) // a checksum of 0 means none
	return append(p, message...)
}

func ipChecksum(header []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// dhcpPayload returns the message in an IP packet to the client's port, or nil for another packet.
func dhcpPayload(p []byte) []byte {
	if len(p) < ipHeaderSize || p[0]>>4 != 4 || p[9] != 17 || binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
		return nil
	}
	header, total := int(p[0]&0xf)*4, int(binary.BigEndian.Uint16(p[2:]))
	if header < ipHeaderSize || total > len(p) || total < header+udpHeaderSize {
		return nil
	}
	udp := p[header:total]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if binary.BigEndian.Uint16(udp[2:]) != dhcpClientPort || length < udpHeaderSize || length > len(udp) {
		return nil
	}
	return udp[udpHeaderSize:length]
}
