package network

import (
	"strings"
	"testing"
)

func TestDefaultRoute(t *testing.T) {
	const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	const local = "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	const way = "eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	if hasDefaultRoute(head+local) || hasDefaultRoute("") {
		t.Error("found a default route where there is none")
	}
	if hasDefaultRoute(head + strings.Replace(way, "0003", "0002", 1)) {
		t.Error("took a route that is down")
	}
	if !hasDefaultRoute(head + local + way) {
		t.Error("did not find the default route")
	}
}
