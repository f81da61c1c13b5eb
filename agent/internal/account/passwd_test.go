package account

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

const (
	testPasswd = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\ndebian:x:1000:1000:Debian:/home/debian:/bin/bash"
	testGroup  = "root:x:0:\ndaemon:x:1:\ndialout:x:20:debian\nsudo:x:27:debian,other\ndebian:x:1000:"
	testShadow = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\ndebian:$y$hash:19000:0:99999:7:::"
)

func testAccounts() *accountFiles {
	return &accountFiles{passwd: sys.SplitLines(testPasswd), group: sys.SplitLines(testGroup), shadow: sys.SplitLines(testShadow)}
}

func wanted() *Spec {
	return &Spec{Name: "ann", UID: 1500, GID: 1500, Home: "/home/ann.guest", Shell: "/bin/bash", Comment: "Ann"}
}

func TestApplyAddsAUserOnce(t *testing.T) {
	files := testAccounts()
	created, err := files.apply(wanted(), time.Unix(86400*100, 0))
	if err != nil || !created {
		t.Fatal(created, err)
	}
	if !slices.Contains(files.passwd, "ann:x:1500:1500:Ann:/home/ann.guest:/bin/bash") ||
		!slices.Contains(files.group, "ann:x:1500:") || !slices.Contains(files.shadow, "ann:*:100:0:99999:7:::") {
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
	for _, change := range []func(*Spec){
		func(u *Spec) { u.Name = "daemon" },
		func(u *Spec) { u.UID = 1 },
	} {
		files, want := testAccounts(), wanted()
		change(want)
		if _, err := files.apply(want, time.Now()); codeOf(err) != wire.CodeConflict {
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
	for _, change := range []func(*Spec){
		func(u *Spec) { u.Name = "a:b" }, func(u *Spec) { u.Name = "-r" }, func(u *Spec) { u.UID = 0 },
		func(u *Spec) { u.Name = "root" }, func(u *Spec) { u.Home = "rel" }, func(u *Spec) { u.Comment = "a\nb" },
		func(u *Spec) { u.Shell = "sh" },
	} {
		want := wanted()
		change(want)
		if codeOf(want.Check()) != wire.CodeBadRequest {
			t.Errorf("accepted %+v", want)
		}
	}
	if err := wanted().Check(); err != nil {
		t.Error(err)
	}
}

func codeOf(err error) string {
	var coded *wire.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return ""
}

func TestApplyLetsKeysLogInToAnAccountWithoutAPassword(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{"debian:!:19000:0:99999:7:::", "ann:*:19000:0:99999:7:::"},
		{"debian:!*:19000:0:99999:7:::", "ann:*:19000:0:99999:7:::"},
		{"debian:!$y$hash:19000:0:99999:7:::", "ann:!$y$hash:19000:0:99999:7:::"}, // locked on purpose
		{"debian:$y$hash:19000:0:99999:7:::", "ann:$y$hash:19000:0:99999:7:::"},
	} {
		got := lockShadow([]string{c.before}, "debian", "ann", time.Now())
		if len(got) != 1 || got[0] != c.after {
			t.Errorf("%s: got %v", c.before, got)
		}
	}
}
