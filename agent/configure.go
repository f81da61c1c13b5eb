package main

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxMounts       = 64
	maxEntropy      = 4096
	environmentFile = "/etc/environment"
	markerBegin     = "# >>> gaovm >>>"
	markerEnd       = "# <<< gaovm <<<"
)

type configureBody struct {
	Hostname *string            `json:"hostname"`
	UnixNS   *int64             `json:"unix_ns"`
	User     *userSpec          `json:"user"`
	Hosts    *map[string]string `json:"hosts"` // names that /etc/hosts gives an address
	Mounts   []mountSpec        `json:"mounts"`
	Env      *map[string]string `json:"env"`
	Entropy  *string            `json:"entropy"`
	Watchdog bool               `json:"watchdog"` // answer whether it is fed
}

type configureResult struct {
	Mounts   []mountResult   `json:"mounts"`
	User     *userResult     `json:"user,omitempty"`
	Watchdog *watchdogResult `json:"watchdog,omitempty"`
}

// configureLock keeps two configurations apart: they edit the same files.
var configureLock sync.Mutex

// configure applies each part that is given. It may be repeated.
func (a *agent) configure(r *http.Request) (any, error) {
	var body configureBody
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	configureLock.Lock()
	defer configureLock.Unlock()
	if body.Entropy != nil && a.real {
		raw, _ := base64.StdEncoding.DecodeString(*body.Entropy)
		if err := addEntropy(raw); err != nil {
			return nil, err
		}
	}
	if body.UnixNS != nil {
		if _, err := a.setClock(*body.UnixNS); err != nil {
			return nil, err
		}
	}
	if body.Hostname != nil && a.real {
		if err := setHostname("", *body.Hostname); err != nil {
			return nil, err
		}
	}
	if body.Hosts != nil && a.real {
		if err := setHosts("", *body.Hosts); err != nil {
			return nil, err
		}
	}
	if body.Env != nil {
		if err := a.setEnvironment(*body.Env); err != nil {
			return nil, err
		}
	}
	result := configureResult{Mounts: []mountResult{}}
	if body.User != nil {
		made, err := a.setUser(body.User)
		if err != nil {
			return nil, err
		}
		result.User = made
	}
	if len(body.Mounts) > 0 {
		result.Mounts = a.mountAll(body.Mounts)
	}
	if body.Watchdog {
		result.Watchdog = a.watchdog.result(lateTimeout)
	}
	return result, nil
}

func (b *configureBody) check() error {
	if b.Hostname != nil && !validHostname(*b.Hostname) {
		return badField("hostname", "not a host name")
	}
	if b.Hosts != nil {
		for name, address := range *b.Hosts {
			if _, err := netip.ParseAddr(address); err != nil || !validDomain(name) {
				return badField("hosts", "not a host name and an IP address")
			}
		}
	}
	if len(b.Mounts) > maxMounts {
		return badField("mounts", "more than 64")
	}
	for i := range b.Mounts {
		if err := b.Mounts[i].check("mounts[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
	}
	if b.User != nil {
		if err := b.User.check(); err != nil {
			return err
		}
	}
	if b.Entropy != nil {
		raw, err := base64.StdEncoding.DecodeString(*b.Entropy)
		if err != nil || len(raw) == 0 || len(raw) > maxEntropy {
			return badField("entropy", "not base64 of 1 to 4096 bytes")
		}
	}
	if b.Env != nil {
		for name, value := range *b.Env {
			if !validVariable(name) || strings.ContainsAny(value, "\n\x00") {
				return badField("env", "a name or value that /etc/environment cannot hold")
			}
		}
	}
	return nil
}

// setEnvironment keeps the variables for every later exec and writes them between marker lines, for all other logins.
func (a *agent) setEnvironment(env map[string]string) error {
	a.mu.Lock()
	a.env = env
	a.mu.Unlock()
	if !a.real {
		return nil
	}
	old, err := readBounded(environmentFile, maxBody)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	body := markedSection(string(old), environmentLines(env))
	if body == string(old) {
		return nil
	}
	return replaceFile(environmentFile, []byte(body), 0o644)
}

func environmentLines(env map[string]string) []string {
	lines := make([]string, 0, len(env))
	for name, value := range env {
		lines = append(lines, name+`="`+value+`"`)
	}
	sort.Strings(lines)
	return lines
}

// markedSection replaces what stands between the marker lines; all else stays as it is.
func markedSection(old string, lines []string) string {
	var kept []string
	inside := false
	for _, line := range strings.Split(strings.TrimSuffix(old, "\n"), "\n") {
		switch {
		case line == markerBegin:
			inside = true
		case line == markerEnd:
			inside = false
		case !inside && (old != "" || line != ""):
			kept = append(kept, line)
		}
	}
	if len(lines) > 0 {
		kept = append(append(append(kept, markerBegin), lines...), markerEnd)
	}
	if len(kept) == 0 {
		return ""
	}
	return strings.Join(kept, "\n") + "\n"
}

// addEntropy credits the host's random bytes and makes the kernel use them at once: a clone of a saved
// machine would otherwise repeat its twin's random numbers.
func addEntropy(raw []byte) error {
	random, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer random.Close()
	pool := make([]int32, 2+(len(raw)+3)/4)
	pool[0], pool[1] = int32(len(raw)*8), int32(len(raw))
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&pool[2])), len(raw)), raw)
	pointer := uintptr(unsafe.Pointer(&pool[0]))
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, random.Fd(), unix.RNDADDENTROPY, pointer); errno != 0 {
		return errno
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, random.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return errno
	}
	return nil
}
