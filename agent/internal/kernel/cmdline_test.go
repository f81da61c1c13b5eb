package kernel

import (
	"testing"
	"time"
)

func TestParseCmdline(t *testing.T) {
	args := Parse("quiet root=/dev/vda rootflags=noatime,discard init=/bin/sh ip=dhcp gaovm.hostname=a-b gaovm.debug=1 gaovm.watchdog=30\n")
	if args.Root != "/dev/vda" || args.Init != "/bin/sh" || args.Hostname != "a-b" || !args.Debug ||
		args.RootType != "ext4" || args.RootFlags != "noatime,discard" || args.IP != "dhcp" || args.Watchdog != 30*time.Second {
		t.Fatalf("got %+v", args)
	}
	if args := Parse("gaovm.hostname=-bad"); args.Hostname != "" {
		t.Error("a bad host name was taken")
	}
	for _, bad := range []string{"0", "-1", "x", "3601", ""} {
		if args := Parse("gaovm.watchdog=" + bad); args.Watchdog != 0 {
			t.Errorf("the watchdog's timeout %q was taken", bad)
		}
	}
}
