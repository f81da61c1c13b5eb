package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	testPasswd = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\ndebian:x:1000:1000:Debian:/home/debian:/bin/bash"
	testGroup  = "root:x:0:\ndaemon:x:1:\ndialout:x:20:debian\nsudo:x:27:debian,other\ndebian:x:1000:"
	testShadow = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\ndebian:$y$hash:19000:0:99999:7:::"
)

func testAccounts() *accountFiles {
	return &accountFiles{passwd: splitLines(testPasswd), group: splitLines(testGroup), shadow: splitLines(testShadow)}
}

func wanted() *userSpec {
	return &userSpec{Name: "ann", UID: 1500, GID: 1500, Home: "/home/ann.guest", Shell: "/bin/bash", Comment: "Ann"}
}

func TestApplyAddsAUserOnce(t *testing.T) {
	files := testAccounts()
	created, err := files.apply(wanted(), time.Unix(86400*100, 0))
	if err != nil || !created {
		t.Fatal(created, err)
	}
	if !slices.Contains(files.passwd, "ann:x:1500:1500:Ann:/home/ann.guest:/bin/bash") ||
		!slices.Contains(files.group, "ann:x:1500:") || !slices.Contains(files.shadow, "ann:!:100:0:99999:7:::") {
		t.Fatalf("got %v %v %v", files.passwd, files.group, files.shadow)
	}
	before := strings.Join(files.passwd, "\n")
	if created, err = files.apply(wanted(), time.Now()); created || err != nil || strings.Join(files.passwd, "\n") != before {
		t.Fatal("the second time changed something", created, err)
	}
}

func TestApplyTakesOverTheHolderOfTheUID(t *testing.T) {
	files := testAccounts()
	want := wanted()
	want.UID, want.GID = 1000, 1000
	if created, err := files.apply(want, time.Now()); created || err != nil {
		t.Fatal(created, err)
	}
	all := strings.Join(slices.Concat(files.passwd, files.group, files.shadow), "\n")
	if !strings.Contains(all, "ann:x:1000:1000:") || strings.Contains(all, "debian:x:1000:1000") ||
		!strings.Contains(all, "sudo:x:27:ann,other") || !strings.Contains(all, "ann:$y$hash:") {
		t.Fatalf("got %s", all)
	}
}

func TestApplyLeavesSystemAccounts(t *testing.T) {
	for _, change := range []func(*userSpec){
		func(u *userSpec) { u.Name = "daemon" },
		func(u *userSpec) { u.UID = 1 },
	} {
		files, want := testAccounts(), wanted()
		change(want)
		if _, err := files.apply(want, time.Now()); codeOf(err) != codeConflict {
			t.Errorf("%+v: got %v", want, err)
		}
		if strings.Join(files.passwd, "\n") != testPasswd {
			t.Error("changed although refused")
		}
	}
}

func TestApplyUsesAGroupThatIsThere(t *testing.T) {
	files, want := testAccounts(), wanted()
	want.UID, want.GID = 501, 20 // a Mac's user
	if _, err := files.apply(want, time.Now()); err != nil || strings.Join(files.group, "\n") != testGroup {
		t.Fatal(err, files.group)
	}
}

func TestUserSpecCheck(t *testing.T) {
	for _, change := range []func(*userSpec){
		func(u *userSpec) { u.Name = "a:b" }, func(u *userSpec) { u.Name = "-r" }, func(u *userSpec) { u.UID = 0 },
		func(u *userSpec) { u.Name = "root" }, func(u *userSpec) { u.Home = "rel" }, func(u *userSpec) { u.Comment = "a\nb" },
		func(u *userSpec) { u.Shell = "sh" },
	} {
		want := wanted()
		change(want)
		if codeOf(want.check()) != codeBadRequest {
			t.Errorf("accepted %+v", want)
		}
	}
	if err := wanted().check(); err != nil {
		t.Error(err)
	}
}

func TestMarkedSection(t *testing.T) {
	once := markedSection("A=1\n", environmentLines(map[string]string{"B": "2"}))
	if once != "A=1\n"+markerBegin+"\nB=\"2\"\n"+markerEnd+"\n" {
		t.Fatalf("got %q", once)
	}
	if again := markedSection(once, nil); again != "A=1\n" {
		t.Fatalf("got %q", again)
	}
	if markedSection("", nil) != "" {
		t.Error("made something of nothing")
	}
}

func TestHostsBody(t *testing.T) {
	first := hostsBody("127.0.0.1 localhost\n127.0.1.1 old\n", "box")
	if first != "127.0.0.1 localhost\n127.0.1.1\tbox\n" || hostsBody(first, "box") != first {
		t.Fatalf("got %q", first)
	}
	if got := hostsBody("", "box"); !strings.Contains(got, "127.0.0.1\tlocalhost") || !strings.Contains(got, "127.0.1.1\tbox") {
		t.Fatalf("got %q", got)
	}
}

func TestTopMount(t *testing.T) {
	table := "1 0 8:1 / / rw - ext4 /dev/vda rw\n2 1 0:30 / /home/a\\040b rw,relatime shared:1 - 9p proj rw\n"
	if source, kind := topMount(table, "/home/a b"); source != "proj" || kind != "9p" {
		t.Fatalf("got %q %q", source, kind)
	}
	if source, _ := topMount(table, "/home"); source != "" {
		t.Fatalf("got %q", source)
	}
}

func TestHostsStandBetweenMarkersAndGoAgain(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	const before = "127.0.0.1\tlocalhost\n"
	if err := os.WriteFile(root+hostsFile, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := setHosts(root, map[string]string{"host.lima.internal": "10.0.2.2"}); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := os.ReadFile(root + hostsFile)
	if strings.Count(string(got), "10.0.2.2\thost.lima.internal\n") != 1 {
		t.Fatalf("%q", got)
	}
	if err := setHosts(root, map[string]string{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(root + hostsFile); string(got) != before {
		t.Fatalf("%q", got)
	}
}
