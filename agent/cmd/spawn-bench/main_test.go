package main

import (
	"slices"
	"testing"
)

func TestTheCountIsBounded(t *testing.T) {
	if count, argv, err := spawns([]string{"5"}); err != nil || count != 5 || argv[0] != "/bin/true" {
		t.Fatalf("got %d %v %v", count, argv, err)
	}
	for _, bad := range [][]string{nil, {"0"}, {"1001"}, {"x"}, {"/bin/true", "2"}} {
		if count, argv, err := spawns(bad); err == nil {
			t.Errorf("%v: got %d %v", bad, count, argv)
		}
	}
}

func TestAProgramHasItsOwnWords(t *testing.T) {
	words := []string{"/bin/bash", "-lc", "true"}
	if count, argv, err := spawns(append([]string{"2"}, words...)); err != nil || count != 2 || !slices.Equal(argv, words) {
		t.Fatalf("got %d %v %v", count, argv, err)
	}
}
