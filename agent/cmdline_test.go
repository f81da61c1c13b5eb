package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestParseIP(t *testing.T) {
	plan, err := parseIP("10.0.2.15::10.0.2.2:255.255.240.0:box:eth0:off:10.0.2.3:1.1.1.1")
	if err != nil {
		t.Fatal(err)
	}
	if plan.mode != networkStatic || plan.address.String() != "10.0.2.15/20" || plan.gateway.String() != "10.0.2.2" ||
		plan.hostname != "box" || plan.device != "eth0" || len(plan.nameserver) != 2 {
		t.Fatalf("got %+v", plan)
	}
	for text, mode := range map[string]networkMode{
		"": networkOff, "off": networkOff, "none": networkOff, "dhcp": networkDHCP, "on": networkDHCP,
		"::::box:eth1:dhcp": networkDHCP,
	} {
		if plan, err := parseIP(text); err != nil || plan.mode != mode {
			t.Errorf("%q: got %+v %v", text, plan, err)
		}
	}
}

func TestParseIPRefuses(t *testing.T) {
	for _, text := range []string{
		"10.0.2.15", "x::::h:eth0:off", "fe80::1:::255.0.0.0:h:eth0:off", "10.0.2.15:::255.0.255.0:h:eth0:off",
		"10.0.2.15::zz:255.0.0.0:h:eth0:off", "10.0.2.15:::255.0.0.0:h:../eth0:off", "10.0.2.15:::255.0.0.0:h:eth0:bootp",
	} {
		if plan, err := parseIP(text); err == nil {
			t.Errorf("%q: got %+v", text, plan)
		}
	}
}

func TestMaskBits(t *testing.T) {
	for text, want := range map[string]int{"": 24, "255.255.255.255": 32, "0.0.0.0": 0, "255.128.0.0": 9} {
		if bits, ok := maskBits(text); !ok || bits != want || text != "" && maskOf(bits).String() != text {
			t.Errorf("%q: got %d %v", text, bits, ok)
		}
	}
}

func TestParseCmdline(t *testing.T) {
	args, err := parseCmdline("quiet root=/dev/vda rootflags=noatime,discard init=/bin/sh ip=dhcp gaovm.hostname=a-b gaovm.debug=1 gaovm.watchdog=30\n")
	if err != nil || args.root != "/dev/vda" || args.init != "/bin/sh" || args.hostname != "a-b" || !args.debug ||
		args.rootType != "ext4" || args.network.mode != networkDHCP || args.watchdog != 30*time.Second {
		t.Fatalf("got %+v %v", args, err)
	}
	flags, options := splitMountFlags(args.rootFlags)
	if flags == 0 || options != "discard" {
		t.Fatalf("got %x %q", flags, options)
	}
	if args, _ := parseCmdline("gaovm.hostname=-bad"); args.hostname != "" {
		t.Error("a bad host name was taken")
	}
	for _, bad := range []string{"0", "-1", "x", "3601", ""} {
		if args, _ := parseCmdline("gaovm.watchdog=" + bad); args.watchdog != 0 {
			t.Errorf("the watchdog's timeout %q was taken", bad)
		}
	}
}

func TestParseModuleList(t *testing.T) {
	got := parseModuleList("boot /modules/a.ko\nlate /modules/b.ko\n\nelse /x\nwatchdog /modules/c.ko\nboot\n")
	if len(got) != 3 || got[2] != (moduleEntry{"watchdog", "modules/c.ko"}) || got[0] != (moduleEntry{"boot", "modules/a.ko"}) || got[1] != (moduleEntry{"late", "modules/b.ko"}) {
		t.Fatalf("got %v", got)
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "modules.list"), []byte("boot /a.ko\n9p /b.ko\nnetwork /c.ko\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if fd := int(dir.Fd()); !listsPhase(fd, phaseNetwork) || listsPhase(fd, phaseLate) {
		t.Error("the phases of a list are not those that it has")
	}
}
