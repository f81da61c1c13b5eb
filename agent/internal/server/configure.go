package server

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"strconv"
	"sync"

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/clock"
	"gaovm/agent/internal/exec"
	"gaovm/agent/internal/mounts"
	"gaovm/agent/internal/network"
	"gaovm/agent/internal/power"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

const (
	maxMounts  = 64
	maxEntropy = 4096
)

type configureBody struct {
	Hostname *string            `json:"hostname"`
	UnixNS   *int64             `json:"unix_ns"`
	User     *account.Spec      `json:"user"`
	Hosts    *map[string]string `json:"hosts"` // name to address, for /etc/hosts
	Mounts   []mounts.Spec      `json:"mounts"`
	Env      *map[string]string `json:"env"`
	Timezone *clock.Zone        `json:"timezone"`
	Entropy  *string            `json:"entropy"`
	Watchdog bool               `json:"watchdog"` // whether the answer says if the agent feeds it
}

type configureResult struct {
	Mounts   []mounts.Result `json:"mounts"`
	User     *account.Result `json:"user,omitempty"`
	Watchdog *power.Result   `json:"watchdog,omitempty"`
	Timezone string          `json:"timezone,omitempty"` // why the zone could not be set
}

// configureLock makes configurations take turns: they edit the same files.
var configureLock sync.Mutex

// configure applies each part of the body. The host may repeat it.
func (a *agent) configure(r *http.Request) (any, error) {
	var body configureBody
	if err := wire.ReadBody(r, &body); err != nil {
		return nil, err
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	configureLock.Lock()
	defer configureLock.Unlock()
	if body.Entropy != nil && a.real {
		raw, _ := base64.StdEncoding.DecodeString(*body.Entropy)
		if err := sys.AddEntropy(raw); err != nil {
			return nil, err
		}
	}
	if body.UnixNS != nil {
		if _, err := a.clock.Set(*body.UnixNS); err != nil {
			return nil, err
		}
	}
	result := configureResult{Mounts: []mounts.Result{}}
	if a.real {
		if err := body.setNames(&result); err != nil {
			return nil, err
		}
	}
	if body.Env != nil {
		if err := a.runner.SetEnvironment(*body.Env); err != nil {
			return nil, err
		}
	}
	if body.User != nil {
		made, err := a.accounts.Set(body.User)
		if err != nil {
			return nil, err
		}
		result.User = made
	}
	if len(body.Mounts) > 0 {
		result.Mounts = a.mounter.MountAll(body.Mounts)
	}
	if body.Watchdog {
		result.Watchdog = a.watchdog.Result(mounts.LateTimeout)
	}
	return result, nil
}

// setNames sets the guest's own name, those of other hosts, and that of the time zone.
func (b *configureBody) setNames(result *configureResult) error {
	if b.Hostname != nil {
		if err := network.SetHostname("", *b.Hostname); err != nil {
			return err
		}
	}
	if b.Hosts != nil {
		if err := network.SetHosts("", *b.Hosts); err != nil {
			return err
		}
	}
	if b.Timezone != nil {
		if err := clock.SetZone("", b.Timezone); err != nil {
			result.Timezone = err.Error()
		}
	}
	return nil
}

func (b *configureBody) check() error {
	if b.Hostname != nil && !wire.ValidHostname(*b.Hostname) {
		return wire.BadField("hostname", "not a host name")
	}
	if b.Hosts != nil {
		for name, address := range *b.Hosts {
			if _, err := netip.ParseAddr(address); err != nil || !wire.ValidDomain(name) {
				return wire.BadField("hosts", "not a host name and an IP address")
			}
		}
	}
	if len(b.Mounts) > maxMounts {
		return wire.BadField("mounts", "more than 64")
	}
	for i := range b.Mounts {
		if err := b.Mounts[i].Check("mounts[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
	}
	if b.User != nil {
		if err := b.User.Check(); err != nil {
			return err
		}
	}
	if b.Timezone != nil {
		if err := b.Timezone.Check("timezone"); err != nil {
			return err
		}
	}
	if b.Entropy != nil {
		raw, err := base64.StdEncoding.DecodeString(*b.Entropy)
		if err != nil || len(raw) == 0 || len(raw) > maxEntropy {
			return wire.BadField("entropy", "not base64 of 1 to 4096 bytes")
		}
	}
	if b.Env != nil {
		return exec.CheckConfigured("env", *b.Env)
	}
	return nil
}
