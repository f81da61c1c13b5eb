package main

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	resolverFile   = "/etc/resolv.conf"
	hostsFile      = "/etc/hosts"
	hostnameFile   = "/etc/hostname"
	maxNameservers = 3 // as many as the C library reads
)

// writeResolver writes /etc/resolv.conf. A link that leads nowhere is replaced; one that leads to another
// resolver's file is that resolver's business.
func writeResolver(servers []netip.Addr, domain string) error {
	if info, err := os.Lstat(resolverFile); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if target, err := filepath.EvalSymlinks(resolverFile); err == nil && target != resolverFile {
			if body, err := readBounded(target, maxBody); err == nil && strings.Contains(string(body), "nameserver") {
				return nil
			}
		}
	}
	body := resolverBody(servers, domain)
	if old, err := readBounded(resolverFile, maxBody); err == nil && string(old) == body {
		return nil
	}
	return replaceFile(resolverFile, []byte(body), 0o644)
}

func resolverBody(servers []netip.Addr, domain string) string {
	var b strings.Builder
	if validDomain(domain) {
		b.WriteString("search " + domain + "\n")
	}
	for i, server := range servers {
		if i < maxNameservers {
			b.WriteString("nameserver " + server.String() + "\n")
		}
	}
	return b.String()
}

// setHostname sets the name now and, below root, for later: in /etc/hostname and /etc/hosts.
func setHostname(root, name string) error {
	if root == "" {
		if err := unix.Sethostname([]byte(name)); err != nil {
			return err
		}
	}
	old, err := readBounded(root+hostnameFile, maxBody)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if strings.TrimSpace(string(old)) != name {
		if err := replaceFile(root+hostnameFile, []byte(name+"\n"), 0o644); err != nil {
			return err
		}
	}
	hosts, err := readBounded(root+hostsFile, maxBody)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	body := hostsBody(string(hosts), name)
	if body == string(hosts) {
		return nil
	}
	return replaceFile(root+hostsFile, []byte(body), 0o644)
}

// hostsBody gives the name Debian's address for a host without a fixed one, 127.0.1.1.
func hostsBody(old, name string) string {
	const own = "127.0.1.1"
	lines, hasOwn, hasLoopback := splitLines(old), false, false
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

// setHosts writes names and their addresses between marker lines of /etc/hosts below root; none takes the lines away.
func setHosts(root string, hosts map[string]string) error {
	old, err := readBounded(root+hostsFile, maxBody)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := make([]string, 0, len(hosts))
	for name, address := range hosts {
		lines = append(lines, address+"\t"+name)
	}
	sort.Strings(lines)
	body := markedSection(string(old), lines)
	if body == string(old) {
		return nil
	}
	return replaceFile(root+hostsFile, []byte(body), 0o644)
}
