package main

import "testing"

func TestTheCountIsBounded(t *testing.T) {
	if count, err := spawns([]string{"5"}); err != nil || count != 5 {
		t.Fatalf("got %d %v", count, err)
	}
	for _, bad := range [][]string{nil, {"0"}, {"1001"}, {"x"}, {"1", "2"}} {
		if count, err := spawns(bad); err == nil {
			t.Errorf("%v: got %d", bad, count)
		}
	}
}
