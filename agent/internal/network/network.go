// Package network sets up the guest's address, route, resolver and names, by the kernel command
// line or by DHCP.
package network

import (
	"errors"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

const deviceTimeout = 10 * time.Second

// BringUp sets up the network that ip= asks for, and the loopback in any case.
func BringUp(plan Plan) error {
	err := withControlSocket(func(fd int) error { return setLinkUp(fd, "lo") })
	if err != nil || plan.mode == off {
		return err
	}
	device, err := awaitDevice(plan.device)
	if err != nil {
		return err
	}
	if plan.mode == dhcp {
		return startDHCP(device)
	}
	return applyAddress(device, plan.address, plan.gateway, plan.nameserver, "")
}

// awaitDevice waits for the named network device, or for the first one that is not the loopback.
func awaitDevice(name string) (string, error) {
	found := ""
	look := func() bool {
		interfaces, err := net.Interfaces()
		if err != nil {
			return false
		}
		for _, i := range interfaces {
			if name == "" && i.Flags&net.FlagLoopback == 0 && len(i.HardwareAddr) == 6 || i.Name == name {
				found = i.Name
				return true
			}
		}
		return false
	}
	if err := sys.WaitUevent(look, deviceTimeout); err != nil {
		return "", errors.New("no network device " + name)
	}
	return found, nil
}

// applyAddress sets the address of a device, the default route and the resolver. It may be called
// again.
func applyAddress(device string, address netip.Prefix, gateway netip.Addr, servers []netip.Addr, domain string) error {
	err := withControlSocket(func(fd int) error {
		if err := setAddress(fd, unix.SIOCSIFADDR, device, address.Addr()); err != nil {
			return err
		}
		if err := setAddress(fd, unix.SIOCSIFNETMASK, device, maskOf(address.Bits())); err != nil {
			return err
		}
		if err := setLinkUp(fd, device); err != nil {
			return err
		}
		if !gateway.IsValid() {
			return nil
		}
		return addDefaultRoute(fd, device, gateway)
	})
	if err != nil || len(servers) == 0 {
		return err
	}
	return writeResolver(servers, domain)
}

func maskOf(bits int) netip.Addr {
	value := ^uint32(0) << (32 - bits)
	if bits == 0 {
		value = 0
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)})
}

func withControlSocket(do func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(fd)
}

func setLinkUp(fd int, device string) error {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
		return err
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

func setAddress(fd int, request uint, device string, address netip.Addr) error {
	body, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	raw := address.As4()
	if err := body.SetInet4Addr(raw[:]); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, request, body)
}

// routeEntry is the kernel's struct rtentry on a 64 bit machine.
type routeEntry struct {
	_                     uintptr
	target, gateway, mask unix.RawSockaddrInet4
	flags                 uint16
	_                     int16
	_, _                  uintptr
	metric                int16
	device                *byte
	_, _                  uintptr // mtu, window
	_                     uint16  // irtt
}

func addDefaultRoute(fd int, device string, gateway netip.Addr) error {
	name, err := unix.ByteSliceFromString(device)
	if err != nil {
		return err
	}
	any4 := unix.RawSockaddrInet4{Family: unix.AF_INET}
	entry := routeEntry{target: any4, gateway: any4, mask: any4, flags: unix.RTF_UP | unix.RTF_GATEWAY, device: &name[0]}
	entry.gateway.Addr = gateway.As4()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT, uintptr(unsafe.Pointer(&entry)))
	if errno != 0 && errno != unix.EEXIST {
		return errno
	}
	return nil
}
