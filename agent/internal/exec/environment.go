package exec

import (
	"os"
	"sort"
	"strings"

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

const environmentFile = "/etc/environment"

// userPath is Debian's default for a plain user, from its login.defs.
const userPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"

// checkEnvironment refuses names and values that an environment cannot hold.
func checkEnvironment(field string, env map[string]string) error {
	for name, value := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return wire.BadField(field, "not a name and value of an environment variable")
		}
	}
	return nil
}

// buildEnvironment starts with the account's defaults; each layer replaces variables of those
// before it.
func buildEnvironment(u *account.Account, term string, layers ...map[string]string) map[string]string {
	env := map[string]string{
		"HOME": u.Home, "USER": u.Name, "LOGNAME": u.Name, "SHELL": u.Shell,
		"LANG": "C.UTF-8", "PATH": userPath,
	}
	if u.UID == 0 {
		env["PATH"] = process.RootPath
	}
	if term != "" {
		env["TERM"] = term
	}
	for _, layer := range layers {
		for name, value := range layer {
			env[name] = value
		}
	}
	return env
}

func environmentList(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	return list
}

// CheckConfigured refuses names and values that /etc/environment cannot hold.
func CheckConfigured(field string, env map[string]string) error {
	for name, value := range env {
		if !wire.ValidVariable(name) || strings.ContainsAny(value, "\n\x00") {
			return wire.BadField(field, "a name or value that /etc/environment cannot hold")
		}
	}
	return nil
}

// SetEnvironment gives the variables to every later exec, and writes them between marker lines of
// /etc/environment for all other logins.
func (r *Runner) SetEnvironment(env map[string]string) error {
	r.mu.Lock()
	r.env = env
	r.mu.Unlock()
	if !r.accounts.Real {
		return nil
	}
	old, err := sys.ReadBounded(environmentFile, wire.MaxBody)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	body := sys.MarkedSection(string(old), environmentLines(env))
	if body == string(old) {
		return nil
	}
	return sys.ReplaceFile(environmentFile, []byte(body), 0o644)
}

func environmentLines(env map[string]string) []string {
	lines := make([]string, 0, len(env))
	for name, value := range env {
		lines = append(lines, name+`="`+value+`"`)
	}
	sort.Strings(lines)
	return lines
}
