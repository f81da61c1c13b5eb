package main

import "testing"

func TestTheNameChoosesTheRoleBeforeThePid(t *testing.T) {
	for _, c := range []struct {
		args []string
		pid  int
		want role
	}{
		{[]string{"/init"}, 1, roleInit},
		{[]string{"/init", "serve", "--socket", "s"}, 1, roleInit}, // the kernel passes what it does not understand
		{[]string{"@gaovm-agent"}, 7, roleServe},
		{[]string{"@gaovm-agent-watch"}, 7, roleWatch},
		{[]string{"gaovm-copy-in", "{}"}, 7, roleCopy},
		{[]string{"gaovm-enter", "/", "/bin/true", "true"}, 7, roleEnter},
		{[]string{"/x/gaovm-copy-out"}, 7, roleCopy},
		{[]string{"./gaovm-agent", "serve", "--socket", "s"}, 7, roleDevelop},
		{[]string{"./gaovm-agent", "install"}, 7, roleInstall},
		{[]string{"/usr/local/bin/gaovm-agent", "service"}, 7, roleService},
		{[]string{"/mnt/lima-cidata/lima-guestagent", "daemon", "--vsock-port", "0"}, 7, roleService},
		{[]string{"/mnt/lima-cidata/lima-guestagent"}, 7, roleUsage},
		{[]string{"./gaovm-agent", "version"}, 7, roleVersion},
		{[]string{"./gaovm-agent"}, 7, roleUsage},
		{[]string{"./gaovm-agent", "serve", "s"}, 7, roleUsage},
	} {
		if got := roleOf(c.args, c.pid); got != c.want {
			t.Errorf("%v as process %d: got %d, not %d", c.args, c.pid, got, c.want)
		}
	}
}
