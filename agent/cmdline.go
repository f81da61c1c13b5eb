package main

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// kernelArguments are those of the kernel command line that the agent understands.
type kernelArguments struct {
	root, rootType, rootFlags string
	init                      string
	hostname                  string
	network                   networkPlan
	debug                     bool
	watchdog                  time.Duration // 0: there is none to feed
}

// networkPlan is what ip= asks for.
type networkPlan struct {
	mode       networkMode
	address    netip.Prefix
	gateway    netip.Addr
	hostname   string
	device     string // "" means the first one that is not the loopback
	nameserver []netip.Addr
}

type networkMode int

const (
	networkOff networkMode = iota
	networkStatic
	networkDHCP
)

// parseCmdline reads /proc/cmdline. An ip= that is not understood gives no network, and the error says so.
func parseCmdline(line string) (kernelArguments, error) {
	args := kernelArguments{init: "/sbin/init", rootType: "ext4"}
	var err error
	for _, word := range strings.Fields(line) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "root":
			args.root = value
		case "rootfstype":
			args.rootType = value
		case "rootflags":
			args.rootFlags = value
		case "init":
			args.init = value
		case "gaovm.hostname":
			if validHostname(value) {
				args.hostname = value
			}
		case "gaovm.debug":
			args.debug = value == "1"
		case "gaovm.watchdog":
			if seconds, err := strconv.Atoi(value); err == nil && 0 < seconds && seconds <= maxWatchdogS {
				args.watchdog = time.Duration(seconds) * time.Second
			}
		case "ip":
			args.network, err = parseIP(value)
		}
	}
	return args, err
}

// parseIP reads ip=ADDR:SERVER:GATEWAY:NETMASK:HOST:IFACE:METHOD:DNS0:DNS1 and its short forms.
func parseIP(value string) (networkPlan, error) {
	switch value {
	case "", "off", "none":
		return networkPlan{}, nil
	case "dhcp", "on", "any":
		return networkPlan{mode: networkDHCP}, nil
	}
	var f [9]string
	if copy(f[:], strings.Split(value, ":")) < 6 {
		return networkPlan{}, fail(codeBadRequest, "ip="+value+": not understood")
	}
	plan := networkPlan{hostname: f[4], device: f[5]}
	if strings.ContainsAny(plan.device, "/\x00") || len(plan.device) > 15 {
		return networkPlan{}, fail(codeBadRequest, "ip=: not an interface: "+plan.device)
	}
	if !validHostname(plan.hostname) {
		plan.hostname = ""
	}
	switch f[6] {
	case "dhcp", "on", "any":
		plan.mode = networkDHCP
		return plan, nil
	case "", "off", "none":
	default:
		return networkPlan{}, fail(codeUnsupported, "ip=: method "+f[6])
	}
	address, err := netip.ParseAddr(f[0])
	if err != nil || !address.Is4() {
		return networkPlan{}, fail(codeBadRequest, "ip=: not an IPv4 address: "+f[0])
	}
	bits, ok := maskBits(f[3])
	if !ok {
		return networkPlan{}, fail(codeBadRequest, "ip=: not a netmask: "+f[3])
	}
	plan.mode, plan.address = networkStatic, netip.PrefixFrom(address, bits)
	if f[2] != "" {
		if plan.gateway, err = netip.ParseAddr(f[2]); err != nil || !plan.gateway.Is4() {
			return networkPlan{}, fail(codeBadRequest, "ip=: not a gateway: "+f[2])
		}
	}
	for _, text := range f[7:] {
		if server, err := netip.ParseAddr(text); err == nil {
			plan.nameserver = append(plan.nameserver, server)
		}
	}
	return plan, nil
}

// maskBits counts the ones of a dotted netmask, which must be contiguous. An empty one is a /24.
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
