// Command gaovm-agent is the guest agent: /init of the initramfs, and the server of the agent port.
// The contract is docs/reference/agent-protocol.md.
package main

import (
	"os"
	"path/filepath"

	"gaovm/agent/internal/boot"
	"gaovm/agent/internal/files"
	"gaovm/agent/internal/install"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/roles"
	"gaovm/agent/internal/server"
)

var version = "0.1.0"

// role is what one process of the agent does.
type role int

const (
	roleUsage role = iota
	roleVersion
	roleInit
	roleServe
	roleWatch
	roleCopy
	roleEnter
	roleDevelop
	roleInstall
	roleService
)

// limaName is the name under which images made for Lima start the agent of the host's disk, with
// the word daemon.
const limaName = "lima-guestagent"

// roleOf chooses the role of a process by its name, its pid and its arguments.
func roleOf(args []string, pid int) role {
	name := filepath.Base(args[0])
	switch {
	case name == files.InName || name == files.OutName:
		return roleCopy
	case name == process.EnterName:
		return roleEnter
	case name == roles.ServingName:
		return roleServe
	case name == roles.WatchingName:
		return roleWatch
	case pid == 1:
		return roleInit
	case name == limaName && len(args) > 1 && args[1] == "daemon":
		return roleService
	case len(args) == 2 && args[1] == "install":
		return roleInstall
	case len(args) == 2 && args[1] == install.ServiceArgument:
		return roleService
	case len(args) == 4 && args[1] == "serve" && args[2] == "--socket":
		return roleDevelop
	case len(args) == 2 && args[1] == "version":
		return roleVersion
	}
	return roleUsage
}

func main() {
	switch roleOf(os.Args, os.Getpid()) {
	case roleCopy:
		if len(os.Args) != 2 {
			os.Exit(files.ExitFail)
		}
		os.Exit(files.Main(filepath.Base(os.Args[0]), os.Args[1]))
	case roleEnter:
		os.Exit(process.Enter(os.Args))
	case roleServe:
		server.Serve(version)
	case roleWatch:
		roles.Watch()
	case roleInit:
		boot.Main()
	case roleDevelop:
		os.Exit(server.Develop(version, os.Args[3]))
	case roleInstall:
		os.Exit(install.Main())
	case roleService:
		server.ServeInstalled(version)
	case roleVersion:
		_, _ = os.Stdout.WriteString(version + "\n")
	default:
		_, _ = os.Stderr.WriteString("usage: gaovm-agent version | install | service | serve --socket PATH\n")
		os.Exit(2)
	}
}
