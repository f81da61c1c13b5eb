package exec

import (
	"sort"
	"strings"

	"gaovm/agent/internal/account"
)

// sshSettingsHead is the part of sshd's configuration that every guest gets. The host's keys are
// accepted beside those that users keep in the guest. Without PAM a login needs neither the end of
// the distribution's boot nor logind, and has the environment of exec. The first key exchange is
// the cheapest that every client knows: the connection does not leave this machine.
const sshSettingsHead = `# Written by the GaoVM agent for each connection; sshd reads no other file.
HostKey ` + sshDir + `/host_key
AuthorizedKeysFile .ssh/authorized_keys ` + sshDir + `/authorized_keys
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
PidFile none
LogLevel ERROR
PrintMotd no
PrintLastLog no
X11Forwarding yes
StreamLocalBindUnlink yes
MaxSessions 256
AcceptEnv COLORTERM NO_COLOR GIT_PROTOCOL
Subsystem sftp internal-sftp
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256
`

// sshSettings is the configuration of sshd: it gives the configured user and root the environment
// that exec gives them, and other users what they share with those.
func (r *Runner) sshSettings() (string, error) {
	who, err := r.accounts.Find("")
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	configured := r.env
	r.mu.Unlock()
	var b strings.Builder
	b.WriteString(sshSettingsHead)
	anybody := &account.Account{UID: nobodyID}
	b.WriteString(setEnvironment(buildEnvironment(anybody, "", configured)))
	if who.UID != 0 {
		b.WriteString("Match User root\n" + setEnvironment(buildEnvironment(&account.Account{}, "", configured)))
	}
	env := buildEnvironment(who, "", r.accounts.EnterSession(who), configured)
	b.WriteString("Match User " + who.Name + "\n" + setEnvironment(env))
	return b.String(), nil
}

// nobodyID stands for a user without rights.
const nobodyID = 65534

// setEnvironment is a line that sets the variables, apart from those that sshd sets itself.
func setEnvironment(env map[string]string) string {
	words := make([]string, 0, len(env))
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for name, value := range env {
		switch name {
		case "HOME", "USER", "LOGNAME", "SHELL":
		default:
			words = append(words, `"`+name+"="+escape.Replace(value)+`"`)
		}
	}
	sort.Strings(words)
	return "SetEnv " + strings.Join(words, " ") + "\n"
}
