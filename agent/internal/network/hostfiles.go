package network

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	resolverFile   = "/etc/resolv.conf"
	hostsFile      = "/etc/hosts"
	hostnameFile   = "/etc/hostname"
	maxNameservers = 3 // the C library reads no more
)

// writeResolver writes /etc/resolv.conf. It replaces a link that leads nowhere, and leaves a link
// to the file of another resolver alone.
func writeResolver(servers []netip.Addr, domain string) error {
	if info, err := os.Lstat(resolverFile); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if target, err := filepath.EvalSymlinks(resolverFile); err == nil && target != resolverFile {
			if body, err := sys.ReadBounded(target, wire.MaxBody); err == nil && strings.Contains(string(body), "nameserver") {
				return nil
			}
		}
	}
	body := resolverBody(servers, domain)
	if old, err := sys.ReadBounded(resolverFile, wire.MaxBody); err == nil && string(old) == body {
		return nil
	}
	return sys.ReplaceFile(resolverFile, []byte(body), 0o644)
}

func resolverBody(servers []netip.Addr, domain string) string {
	var b strings.Builder
	if wire.ValidDomain(domain) {
		b.WriteString("search " + domain + "\n")
	}
	for i, server := range servers {
		if i < maxNameservers {
			b.WriteString("nameserver " + server.String() + "\n")
		}
	}
	return b.String()
}

// SetHostname sets the host name, and writes it to /etc/hostname and /etc/hosts below root. It sets
// the name of the running kernel only when root is "".
func SetHostname(root, name string) error {
	if root == "" {
		if err := unix.Sethostname([]byte(name)); err != nil {
			return err
		}
	}
	old, err := sys.ReadBounded(root+hostnameFile, wire.MaxBody)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if strings.TrimSpace(string(old)) != name {
		if err := sys.ReplaceFile(root+hostnameFile, []byte(name+"\n"), 0o644); err != nil {
			return err
		}
	}
	hosts, err := sys.ReadBounded(root+hostsFile, wire.MaxBody)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	body := hostsBody(string(hosts), name)
	if body == string(hosts) {
		return nil
	}
	return sys.ReplaceFile(root+hostsFile, []byte(body), 0o644)
}

// hostsBody gives the name 127.0.1.1, which is Debian's address for a host without a fixed address.
func hostsBody(old, name string) string {
	const own = "127.0.1.1"
	lines, hasOwn, hasLoopback := sys.SplitLines(old), false, false
	for i, line := range lines {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		hasLoopback = hasLoopback || fields[0] == "127.0.0.1"
		if fields[0] == own && !hasOwn {
			hasOwn = true
			if len(fields) < 2 || fields[1] != name {
				lines[i] = own + "\t" + name
			}
		}
	}
	if !hasLoopback {
		lines = append(lines, "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback")
	}
	if !hasOwn {
		lines = append(lines, own+"\t"+name)
	}
	return strings.Join(lines, "\n") + "\n"
}

// SetHosts writes names and their addresses between marker lines of /etc/hosts below root. No names
// take the lines away.
func SetHosts(root string, hosts map[string]string) error {
	old, err := sys.ReadBounded(root+hostsFile, wire.MaxBody)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := make([]string, 0, len(hosts))
	for name, address := range hosts {
		lines = append(lines, address+"\t"+name)
	}
	sort.Strings(lines)
	body := sys.MarkedSection(string(old), lines)
	if body == string(old) {
		return nil
	}
	return sys.ReplaceFile(root+hostsFile, []byte(body), 0o644)
}
