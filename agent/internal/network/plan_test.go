package network

import (
	"testing"
)

func TestParseIP(t *testing.T) {
	plan, err := ParsePlan("10.0.2.15::10.0.2.2:255.255.240.0:box:eth0:off:10.0.2.3:1.1.1.1")
	if err != nil {
		t.Fatal(err)
	}
	if plan.mode != static || plan.address.String() != "10.0.2.15/20" || plan.gateway.String() != "10.0.2.2" ||
		plan.Hostname != "box" || plan.device != "eth0" || len(plan.nameserver) != 2 {
		t.Fatalf("got %+v", plan)
	}
	for text, mode := range map[string]mode{
		"": off, "off": off, "none": off, "dhcp": dhcp, "on": dhcp,
		"::::box:eth1:dhcp": dhcp,
	} {
		if plan, err := ParsePlan(text); err != nil || plan.mode != mode {
			t.Errorf("%q: got %+v %v", text, plan, err)
		}
	}
}

func TestParseIPRefuses(t *testing.T) {
	for _, text := range []string{
		"10.0.2.15", "x::::h:eth0:off", "fe80::1:::255.0.0.0:h:eth0:off", "10.0.2.15:::255.0.255.0:h:eth0:off",
		"10.0.2.15::zz:255.0.0.0:h:eth0:off", "10.0.2.15:::255.0.0.0:h:../eth0:off", "10.0.2.15:::255.0.0.0:h:eth0:bootp",
	} {
		if plan, err := ParsePlan(text); err == nil {
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
