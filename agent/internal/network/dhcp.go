package network

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"gaovm/agent/internal/journal"

	"golang.org/x/sys/unix"
)

const (
	dhcpTries        = 6
	dhcpFirstWait    = time.Second
	dhcpLongestWait  = 8 * time.Second
	dhcpShortest     = 60 * time.Second // the agent renews no more often, even if the server grants less
	dhcpDefaultLease = 3600
)

// dhcpClient uses a packet socket, which receives before the device has an address.
type dhcpClient struct {
	device string
	index  int
	mac    net.HardwareAddr
	fd     int
	xid    uint32
}

// startDHCP gets a lease, applies it, and keeps renewing it in the background.
func startDHCP(device string) error {
	if err := withControlSocket(func(fd int) error { return setLinkUp(fd, device) }); err != nil {
		return err
	}
	granted, err := acquire(device, lease{})
	if err != nil {
		return err
	}
	if err := granted.apply(device); err != nil {
		return err
	}
	go keepLease(device, granted)
	return nil
}

func (l *lease) apply(device string) error {
	return applyAddress(device, l.address, l.gateway, l.servers, l.domain)
}

// keepLease renews the lease at T1. When that fails it asks for a new lease, again and again.
func keepLease(device string, current lease) {
	for {
		if current.seconds == ^uint32(0) {
			return // the lease never ends
		}
		time.Sleep(current.renewAfter())
		granted, err := acquire(device, current)
		if err != nil {
			granted, err = acquire(device, lease{})
		}
		if err != nil {
			journal.Warn("DHCP: " + err.Error())
			continue
		}
		if err := granted.apply(device); err != nil {
			journal.Warn("DHCP: " + err.Error())
		}
		current = granted
	}
}

func (l *lease) renewAfter() time.Duration {
	if l.renewal > 0 {
		return max(time.Duration(l.renewal)*time.Second, dhcpShortest)
	}
	return max(time.Duration(l.seconds)*time.Second/2, dhcpShortest)
}

// acquire gets a lease by DISCOVER and REQUEST, or renews the one that is held by REQUEST alone.
func acquire(device string, held lease) (lease, error) {
	client, err := openDHCP(device)
	if err != nil {
		return lease{}, err
	}
	defer unix.Close(client.fd)
	var none netip.Addr
	for try, wait := 0, dhcpFirstWait; try < dhcpTries; try, wait = try+1, min(2*wait, dhcpLongestWait) {
		offer := held
		if !held.address.IsValid() {
			discover := dhcpMessage(dhcpDiscover, client.xid, client.mac, none, none, none)
			kind, got := client.ask(discover, wait, dhcpOffer)
			if kind != dhcpOffer || !got.address.Addr().IsValid() || got.address.Addr().IsUnspecified() {
				continue
			}
			offer = got
		}
		request := dhcpMessage(dhcpRequest, client.xid, client.mac, none, offer.address.Addr(), offer.serverID)
		if held.address.IsValid() { // a renewal names the address in use and no server
			request = dhcpMessage(dhcpRequest, client.xid, client.mac, offer.address.Addr(), none, none)
		}
		switch kind, granted := client.ask(request, wait, dhcpAck); kind {
		case dhcpAck:
			if granted.seconds == 0 {
				granted.seconds = dhcpDefaultLease
			}
			return granted, nil
		case dhcpNak:
			if held.address.IsValid() {
				return lease{}, errors.New("the DHCP server refused to renew the lease")
			}
		}
	}
	return lease{}, errors.New("no DHCP server answered on " + device)
}

func openDHCP(device string) (*dhcpClient, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	if len(link.HardwareAddr) != 6 {
		return nil, errors.New(device + " has no Ethernet address")
	}
	protocol := int(htons(unix.ETH_P_IP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: link.Index}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	var xid [4]byte
	_, _ = rand.Read(xid[:])
	return &dhcpClient{device, link.Index, link.HardwareAddr, fd, binary.BigEndian.Uint32(xid[:])}, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// ask broadcasts a message and waits for an answer of the wanted type, or a NAK. It returns type 0
// when none comes.
func (c *dhcpClient) ask(message []byte, wait time.Duration, want byte) (byte, lease) {
	to := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: c.index, Halen: 6}
	copy(to.Addr[:], []byte{255, 255, 255, 255, 255, 255})
	if err := unix.Sendto(c.fd, broadcastPacket(message), 0, to); err != nil && !errors.Is(err, unix.ENETDOWN) {
		return 0, lease{}
	}
	buf := make([]byte, 2048)
	for until := time.Now().Add(wait); ; {
		left := time.Until(until)
		if left < time.Millisecond {
			return 0, lease{}
		}
		limit := unix.NsecToTimeval(left.Nanoseconds())
		if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
			return 0, lease{}
		}
		n, _, err := unix.Recvfrom(c.fd, buf, 0)
		if err != nil {
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENETDOWN) {
				continue
			}
			return 0, lease{}
		}
		if kind, l := parseDHCP(dhcpPayload(buf[:n]), c.xid, c.mac); kind == want || kind == dhcpNak {
			return kind, l
		}
	}
}
