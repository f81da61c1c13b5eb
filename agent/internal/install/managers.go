package install

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/sys"
)

const unitName = "gaovm-agent.service"

// The service starts as soon as the root can be written, long before the distribution has booted.
// It is not stopped when the guest shuts down: the host still watches. Its commands live in cgroups
// of their own, and a restart of the agent leaves them alone.
const unit = `# Installed by GaoVM through the disk "cidata"; replaced with each newer agent.
[Unit]
Description=GaoVM guest agent
DefaultDependencies=no
After=systemd-remount-fs.service
IgnoreOnIsolate=yes
StartLimitIntervalSec=0

[Service]
ExecStart=PROGRAM service
Restart=always
RestartSec=1
KillMode=process
OOMScoreAdjust=-1000
TasksMax=infinity
Environment=GOMAXPROCS=1
StandardInput=null
StandardOutput=null

[Install]
WantedBy=sysinit.target
`

const script = `#!/sbin/openrc-run
# Installed by GaoVM through the disk "cidata"; replaced with each newer agent.

description="GaoVM guest agent"
supervisor=supervise-daemon
command=PROGRAM
command_args=service
supervise_daemon_args="--env GOMAXPROCS=1"
respawn_delay=1
respawn_max=0

depend() {
	need localmount
	keyword -shutdown -stop
}
`

// manager is an init system that can run the agent as a service.
type manager struct {
	present func(root string) bool
	install func(root, program string) error
}

var managers = []manager{
	{func(root string) bool { return sys.Exists(filepath.Join(root, "run/systemd/system")) }, installSystemd},
	{func(root string) bool { return sys.Exists(filepath.Join(root, "sbin/openrc-run")) }, installOpenRC},
}

// installSystemd writes the unit below /etc, or below /run when /etc cannot be written, and starts
// it. The seed's user data then installs it again at the next boot.
func installSystemd(root, program string) error {
	directory := filepath.Join(root, "etc/systemd/system")
	if !writable(directory) {
		directory = filepath.Join(root, "run/systemd/system")
	}
	if err := writeService(filepath.Join(directory, unitName), unit, program, 0o644); err != nil {
		return err
	}
	wants := filepath.Join(directory, "sysinit.target.wants", unitName)
	if err := link("../"+unitName, wants); err != nil {
		return err
	}
	if root != "/" {
		return nil
	}
	return errors.Join(command("systemctl", "daemon-reload"), command("systemctl", "--no-block", "restart", unitName))
}

func installOpenRC(root, program string) error {
	path := filepath.Join(root, "etc/init.d/gaovm-agent")
	if err := writeService(path, script, program, 0o755); err != nil {
		return err
	}
	if err := link("/etc/init.d/gaovm-agent", filepath.Join(root, "etc/runlevels/boot/gaovm-agent")); err != nil {
		return err
	}
	if root != "/" {
		return nil
	}
	return command("rc-service", "gaovm-agent", "restart")
}

func writeService(path, text, program string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := sys.ReplaceFile(path, []byte(strings.Replace(text, "PROGRAM", program, 1)), mode); err != nil {
		return err
	}
	label(path)
	return nil
}

// link makes a symbolic link, or leaves the one that is there.
func link(target, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(target, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func command(name string, arguments ...string) error {
	_, err := process.Output(exec.Command(name, arguments...))
	if err != nil {
		return errors.New(name + ": " + err.Error())
	}
	return nil
}
