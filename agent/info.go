package main

import (
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxProcFile  = 4 << 20
	maxAddresses = 256
	maxListeners = 2048
)

type infoResult struct {
	Version   string        `json:"version"`
	Kernel    string        `json:"kernel"`
	OS        string        `json:"os"`
	Hostname  string        `json:"hostname"`
	UptimeS   float64       `json:"uptime_s"`
	Load      [3]float64    `json:"load"`
	Memory    memoryInfo    `json:"memory"`
	Addresses []addressInfo `json:"addresses"`
	Listeners []listener    `json:"listeners"`
	Disk      diskInfo      `json:"disk"`
	Agent     agentInfo     `json:"agent"`
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

type agentInfo struct {
	PID           int     `json:"pid"`
	RSS           uint64  `json:"rss_bytes"`
	ExecToReadyMS float64 `json:"exec_to_ready_ms"`
	BootMS        float64 `json:"boot_ms"`
	Streams       int64   `json:"streams"`
}

// info reads the guest's state from /proc: nothing is kept and nothing runs between two calls.
func (a *agent) info() (any, error) {
	result := &infoResult{Version: a.hello.Version, Addresses: addresses(), Listeners: listeners()}
	var uname unix.Utsname
	if unix.Uname(&uname) == nil {
		result.Kernel = unix.ByteSliceToString(uname.Release[:])
	}
	result.Hostname, _ = os.Hostname()
	result.OS = osName()
	if fields := procFields("/proc/uptime"); len(fields) > 0 {
		result.UptimeS, _ = strconv.ParseFloat(fields[0], 64)
	}
	for i, field := range procFields("/proc/loadavg") {
		if i < len(result.Load) {
			result.Load[i], _ = strconv.ParseFloat(field, 64)
		}
	}
	result.Memory.Total = procKilobytes("/proc/meminfo", "MemTotal:")
	result.Memory.Available = procKilobytes("/proc/meminfo", "MemAvailable:")
	var disk unix.Statfs_t
	if unix.Statfs("/", &disk) == nil {
		result.Disk.Total = disk.Blocks * uint64(disk.Bsize)
		result.Disk.Free = disk.Bavail * uint64(disk.Bsize)
	}
	result.Agent = agentInfo{
		PID: os.Getpid(), RSS: procKilobytes("/proc/self/status", "VmRSS:"),
		ExecToReadyMS: a.hello.ExecToReadyMS, BootMS: a.hello.BootMS, Streams: a.streams.Load(),
	}
	return result, nil
}

func procFields(path string) []string {
	body, err := readBounded(path, maxProcFile)
	if err != nil {
		return nil
	}
	return strings.Fields(string(body))
}

// procKilobytes finds "KEY  N kB" and returns bytes.
func procKilobytes(path, key string) uint64 {
	body, err := readBounded(path, maxProcFile)
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(body), "\n") {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == key {
			n, _ := strconv.ParseUint(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

func osName() string {
	body, err := readBounded("/etc/os-release", 64<<10)
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
