package network

import (
	"net/netip"
	"strings"

	"gaovm/agent/internal/wire"
)

// Plan is the network that ip= asks for.
type Plan struct {
	mode       mode
	address    netip.Prefix
	gateway    netip.Addr
	Hostname   string
	device     string // "" is the first device that is not the loopback
	nameserver []netip.Addr
}

type mode int

const (
	off mode = iota
	static
	dhcp
)

// ParsePlan reads ip=ADDR:SERVER:GATEWAY:NETMASK:HOST:IFACE:METHOD:DNS0:DNS1 and its short forms.
func ParsePlan(value string) (Plan, error) {
	switch value {
	case "", "off", "none":
		return Plan{}, nil
	case "dhcp", "on", "any":
		return Plan{mode: dhcp}, nil
	}
	var f [9]string
	if copy(f[:], strings.Split(value, ":")) < 6 {
		return Plan{}, wire.Fail(wire.CodeBadRequest, "ip="+value+": not understood")
	}
	plan := Plan{Hostname: f[4], device: f[5]}
	if strings.ContainsAny(plan.device, "/\x00") || len(plan.device) > 15 {
		return Plan{}, wire.Fail(wire.CodeBadRequest, "ip=: not an interface: "+plan.device)
	}
	if !wire.ValidHostname(plan.Hostname) {
		plan.Hostname = ""
	}
	switch f[6] {
	case "dhcp", "on", "any":
		plan.mode = dhcp
		return plan, nil
	case "", "off", "none":
	default:
		return Plan{}, wire.Fail(wire.CodeUnsupported, "ip=: method "+f[6])
	}
	address, err := netip.ParseAddr(f[0])
	if err != nil || !address.Is4() {
		return Plan{}, wire.Fail(wire.CodeBadRequest, "ip=: not an IPv4 address: "+f[0])
	}
	bits, ok := maskBits(f[3])
	if !ok {
		return Plan{}, wire.Fail(wire.CodeBadRequest, "ip=: not a netmask: "+f[3])
	}
	plan.mode, plan.address = static, netip.PrefixFrom(address, bits)
	if f[2] != "" {
		if plan.gateway, err = netip.ParseAddr(f[2]); err != nil || !plan.gateway.Is4() {
			return Plan{}, wire.Fail(wire.CodeBadRequest, "ip=: not a gateway: "+f[2])
		}
	}
	for _, text := range f[7:] {
		if server, err := netip.ParseAddr(text); err == nil {
			plan.nameserver = append(plan.nameserver, server)
		}
	}
	return plan, nil
}

// maskBits counts the ones of a dotted netmask, which must be contiguous. An empty netmask is a
// /24.
func maskBits(text string) (int, bool) {
	if text == "" {
		return 24, true
	}
	mask, err := netip.ParseAddr(text)
	if err != nil || !mask.Is4() {
		return 0, false
	}
	raw := mask.As4()
	value := uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8 | uint32(raw[3])
	bits := 0
	for ; bits < 32 && value&(1<<31) != 0; value <<= 1 {
		bits++
	}
	return bits, value == 0
}
