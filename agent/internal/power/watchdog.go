package power

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/kernel"

	"golang.org/x/sys/unix"
)

const (
	watchdogClass    = "/sys/class/watchdog"
	watchdogModule   = "i6300esb"
	watchdogIdentity = "i6300ESB timer" // the driver sets no parent device, so only this tells it from others
	// Meals per timeout: one may be late by more than half a timeout before the watchdog fires.
	watchdogMeals = 3
	// Written before closing, it tells the kernel to stop the watchdog. Without it the watchdog
	// runs on, as it must when the agent dies.
	magicClose = "V"
)

// Watchdog feeds the machine's watchdog device when the kernel command line asks for it. When the
// kernel hangs or the agent dies nobody feeds it, it fires, and the host learns of it.
type Watchdog struct {
	mu    sync.Mutex
	file  *os.File      // nil: nobody feeds it; guarded by mu
	begun chan struct{} // closed when feeding has begun or has failed
	err   error         // why nobody feeds it; written before begun is closed
}

// Result tells whether the agent feeds the watchdog, or why not.
type Result struct {
	Fed   bool   `json:"fed"`
	Error string `json:"error,omitempty"`
}

// NewWatchdog returns a watchdog that nobody feeds yet.
func NewWatchdog() *Watchdog { return &Watchdog{begun: make(chan struct{})} }

// Start finds the device, arms it and begins to feed it. root is the initramfs, or -1. Call it
// once.
func (d *Watchdog) Start(root int, timeout time.Duration) {
	d.err = d.open(root, timeout)
	if d.err != nil {
		journal.Warn("watchdog: " + d.err.Error())
	} else {
		go d.feed(timeout)
	}
	close(d.begun)
}

func (d *Watchdog) open(root int, timeout time.Duration) error {
	name := findWatchdog(watchdogClass)
	if name == "" {
		kernel.LoadModules(root, kernel.PhaseWatchdog)
		name = findWatchdog(watchdogClass)
	}
	if name == "" { // an older initramfs lacks the module; the root may have it
		_ = exec.Command("/sbin/modprobe", "-q", watchdogModule).Run()
		name = findWatchdog(watchdogClass)
	}
	if name == "" {
		return errors.New("the kernel has no driver for it (" + watchdogModule + ")")
	}
	file, err := os.OpenFile("/dev/"+name, os.O_WRONLY, 0)
	if errors.Is(err, unix.EBUSY) {
		return errors.New("another program of the guest uses /dev/" + name + " (RuntimeWatchdogSec= of systemd?)")
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

// findWatchdog returns the name of the 6300ESB among the kernel's watchdogs (the chipset of a q35
// has another), or "".
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

func (d *Watchdog) feed(timeout time.Duration) {
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
			// It has fired. A watchdog that has fired forgets its timeout and stands still until it
			// is armed again.
			_ = d.set(unix.WDIOC_SETOPTIONS, unix.WDIOS_DISABLECARD)
			_ = d.set(unix.WDIOC_SETOPTIONS, unix.WDIOS_ENABLECARD)
			_ = d.set(unix.WDIOC_SETTIMEOUT, int(timeout/time.Second))
		}
		_, _ = unix.IoctlRetInt(int(d.file.Fd()), unix.WDIOC_KEEPALIVE)
		d.mu.Unlock()
		last = now
	}
}

func (d *Watchdog) set(request uint, value int) error {
	return unix.IoctlSetPointerInt(int(d.file.Fd()), request, value)
}

// release stops the watchdog and its feeding for good, so that it does not fire at an orderly end
// of the guest.
func (d *Watchdog) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file != nil {
		_, _ = d.file.WriteString(magicClose)
		d.file.Close()
		d.file = nil
	}
}

// Result waits until feeding has begun or has failed, or the time is over.
func (d *Watchdog) Result(timeout time.Duration) *Result {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-d.begun:
		if d.err == nil {
			return &Result{Fed: true}
		}
		return &Result{Error: d.err.Error()}
	case <-timer.C:
		return &Result{Error: "the agent still loads its module"}
	}
}
