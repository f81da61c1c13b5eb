// Package info reads what the guest says of itself: system, load, memory, addresses, listeners.
package info

import (
	"net"
	"os"
	"strconv"
	"strings"

	"gaovm/agent/internal/ports"
	"gaovm/agent/internal/sys"

	"golang.org/x/sys/unix"
)

const (
	maxAddresses = 256
)

// Result is the answer to GET /v1/info.
type Result struct {
	Version   string           `json:"version"`
	Kernel    string           `json:"kernel"`
	OS        string           `json:"os"`
	Hostname  string           `json:"hostname"`
	UptimeS   float64          `json:"uptime_s"`
	Load      [3]float64       `json:"load"`
	Memory    memoryInfo       `json:"memory"`
	Addresses []addressInfo    `json:"addresses"`
	Listeners []ports.Listener `json:"listeners"`
	Disk      diskInfo         `json:"disk"`
	Agent     Agent            `json:"agent"`
}

type memoryInfo struct {
	Total     uint64 `json:"total_bytes"`
	Available uint64 `json:"available_bytes"`
}

type addressInfo struct {
	Interface string `json:"interface"`
	Address   string `json:"address"`
}

type diskInfo struct {
	Total uint64 `json:"total_bytes"`
	Free  uint64 `json:"free_bytes"`
}

// Agent is what the agent says of itself.
type Agent struct {
	PID           int     `json:"pid"`
	RSS           uint64  `json:"rss_bytes"`
	ExecToReadyMS float64 `json:"exec_to_ready_ms"`
	BootMS        float64 `json:"boot_ms"`
	Streams       int64   `json:"streams"`
}

// Read reads the guest's state from /proc. It keeps nothing, and nothing runs between two calls.
// The caller fills in what self says of the agent's start and streams.
func Read(version string, self Agent) *Result {
	result := &Result{Version: version, Addresses: addresses(), Listeners: ports.Listeners()}
	var uname unix.Utsname
	if unix.Uname(&uname) == nil {
		result.Kernel = unix.ByteSliceToString(uname.Release[:])
	}
	result.Hostname, _ = os.Hostname()
	result.OS = osName()
	if fields := sys.ProcFields("/proc/uptime"); len(fields) > 0 {
		result.UptimeS, _ = strconv.ParseFloat(fields[0], 64)
	}
	for i, field := range sys.ProcFields("/proc/loadavg") {
		if i < len(result.Load) {
			result.Load[i], _ = strconv.ParseFloat(field, 64)
		}
	}
	result.Memory.Total = sys.ProcKilobytes("/proc/meminfo", "MemTotal:")
	result.Memory.Available = sys.ProcKilobytes("/proc/meminfo", "MemAvailable:")
	var disk unix.Statfs_t
	if unix.Statfs("/", &disk) == nil {
		result.Disk.Total = disk.Blocks * uint64(disk.Bsize)
		result.Disk.Free = disk.Bavail * uint64(disk.Bsize)
	}
	result.Agent = self
	result.Agent.PID, result.Agent.RSS = os.Getpid(), sys.ProcKilobytes("/proc/self/status", "VmRSS:")
	return result
}

func osName() string {
	body, err := sys.ReadBounded("/etc/os-release", 64<<10)
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(body), "\n") {
		if value, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}

func addresses() []addressInfo {
	found := []addressInfo{}
	interfaces, err := net.Interfaces()
	if err != nil {
		return found
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, addr := range addrs {
			if len(found) < maxAddresses {
				found = append(found, addressInfo{Interface: i.Name, Address: addr.String()})
			}
		}
	}
	return found
}
