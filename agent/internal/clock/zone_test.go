package clock

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
)

func guestRoot(t *testing.T, zones ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"/etc", zoneFiles + "/Europe"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, zone := range zones {
		if err := os.WriteFile(filepath.Join(root, zoneFiles, zone), []byte("TZif2 of the guest"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestAZoneOfTheGuestIsLinkedTo(t *testing.T) {
	root := guestRoot(t, "Europe/Berlin")
	if err := os.WriteFile(root+localTime, []byte("TZif of before"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := SetZone(root, &Zone{Name: "Europe/Berlin"}); err != nil {
			t.Fatal(err)
		}
	}
	target, err := os.Readlink(root + localTime)
	if err != nil || target != "../usr/share/zoneinfo/Europe/Berlin" {
		t.Fatalf("got %q, %v", target, err)
	}
	if name, _ := os.ReadFile(root + zoneName); string(name) != "Europe/Berlin\n" {
		t.Fatalf("got %q", name)
	}
}

func TestAGuestWithoutZonesGetsTheRules(t *testing.T) {
	root := guestRoot(t)
	zone := &Zone{Name: "Europe/Oslo", Rules: base64.StdEncoding.EncodeToString([]byte("TZif of the host"))}
	if err := os.Symlink("../usr/share/zoneinfo/Etc/UTC", root+localTime); err != nil {
		t.Fatal(err)
	}
	if err := SetZone(root, zone); err != nil {
		t.Fatal(err)
	}
	if body, _ := os.ReadFile(root + localTime); string(body) != "TZif of the host" {
		t.Fatalf("got %q", body)
	}
	if err := SetZone(root, &Zone{Name: "Europe/Nowhere"}); err == nil {
		t.Fatal("a zone that nobody knows was set")
	}
}

func TestAZoneIsChecked(t *testing.T) {
	for _, zone := range []Zone{
		{Name: ""}, {Name: "../../etc/passwd"}, {Name: "/etc/passwd"}, {Name: "A\nB"},
		{Name: "UTC", Rules: "no base64"}, {Name: "UTC", Rules: base64.StdEncoding.EncodeToString([]byte("#!/bin/sh"))},
	} {
		if zone.Check("timezone") == nil {
			t.Errorf("%+v passes", zone)
		}
	}
}
