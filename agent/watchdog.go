package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	watchdogClass    = "/sys/class/watchdog"
	watchdogModule   = "i6300esb"
	watchdogIdentity = "i6300ESB timer" // the driver sets no parent device, so this is what tells it from others
	maxWatchdogS     = 3600
	// Meals per timeout: one may be late by more than a timeout's half before the dog barks.
	watchdogMeals = 3
	// Written last, it tells the kernel that closing is meant: without it the dog goes on, as it must when the agent dies.
	magicClose = "V"
)

// watchdog feeds the machine's watchdog device, when the kernel command line asks for it. A hung kernel or a dead agent
// stops feeding it, and the host is told.
type watchdog struct {
	mu    sync.Mutex
	file  *os.File      // nil: not fed; guarded by mu
	begun chan struct{} // closed when it is fed, or cannot be
	err   error         // why it is not fed; written before begun is closed
}

type watchdogResult struct {
	Fed   bool   `json:"fed"`
	Error string `json:"error,omitempty"`
}

func newWatchdog() *watchdog { return &watchdog{begun: make(chan struct{})} }

// start finds the device, arms it and begins to feed it. Called once; root is the initramfs.
func (d *watchdog) start(root int, timeout time.Duration) {
	d.err = d.open(root, timeout)
	if d.err != nil {
		warn("watchdog: " + d.err.Error())
	} else {
		go d.feed(timeout)
	}
	close(d.begun)
}

func (d *watchdog) open(root int, timeout time.Duration) error {
	name := findWatchdog(watchdogClass)
	if name == "" {
		loadModules(root, phaseWatchdog)
		name = findWatchdog(watchdogClass)
	}
	if name == "" { // an older initramfs has no such module, but the root may
		_ = exec.Command("/sbin/modprobe", "-q", watchdogModule).Run()
		name = findWatchdog(watchdogClass)
	}
	if name == "" {
		return errors.New("the kernel has no driver for it (" + watchdogModule + ")")
	}
	file, err := os.OpenFile("/dev/"+name, os.O_WRONLY, 0)
	if errors.Is(err, unix.EBUSY) {
		return errors.New("/dev/" + name + " is used by another program of the guest (RuntimeWatchdogSec= of systemd?)")
	}
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(int(file.Fd()), unix.WDIOC_SETTIMEOUT, int(timeout/time.Second)); err != nil {
		_, _ = file.WriteString(magicClose)
		file.Close()
		return errors.New("setting its timeout: " + err.Error())
	}
	d.mu.Lock()
	d.file = file
	d.mu.Unlock()
	return nil
}

// findWatchdog is the name of our device among those of the kernel (a q35 has another one in its chipset), or "".
func findWatchdog(class string) string {
	entries, err := os.ReadDir(class)
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		identity, _ := os.ReadFile(filepath.Join(class, entry.Name(), "identity"))
		if strings.TrimSpace(string(identity)) == watchdogIdentity {
			return entry.Name()
		}
	}
	return ""
}

func (d *watchdog) feed(timeout time.Duration) {
	ticker := time.NewTicker(timeout / watchdogMeals)
	defer ticker.Stop()
	last := time.Now()
	for now := range ticker.C {
		d.mu.Lock()
		if d.file == nil {
			d.mu.Unlock()
			return
		}
		if now.Sub(last) > timeout {
			// It has fired, and a dog that has fired sleeps, its timeout forgotten, until it is armed again.
			_ = d.set(unix.WDIOC_SETOPTIONS, unix.WDIOS_DISABLECARD)
			_ = d.set(unix.WDIOC_SETOPTIONS, unix.WDIOS_ENABLECARD)
			_ = d.set(unix.WDIOC_SETTIMEOUT, int(timeout/time.Second))
		}
		_, _ = unix.IoctlRetInt(int(d.file.Fd()), unix.WDIOC_KEEPALIVE)
		d.mu.Unlock()
		last = now
	}
}

func (d *watchdog) set(request uint, value int) error {
	return unix.IoctlSetPointerInt(int(d.file.Fd()), request, value)
}

// release ends the feeding for good and tells the dog so: an orderly end of the guest never makes it bark.
func (d *watchdog) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil {
		_, _ = d.file.WriteString(magicClose)
		d.file.Close()
		d.file = nil
	}
}

// result waits until it is known whether the dog is fed.
func (d *watchdog) result(timeout time.Duration) *watchdogResult {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-d.begun:
		if d.err == nil {
			return &watchdogResult{Fed: true}
		}
		return &watchdogResult{Error: d.err.Error()}
	case <-timer.C:
		return &watchdogResult{Error: "its module is still being loaded"}
	}
}
