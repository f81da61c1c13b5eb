package trust

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	one   = begin + "MIIB\n" + end
	other = begin + "MIIC\n" + end
)

// guest is a store whose program only counts its runs.
func guest(t *testing.T, files ...string) (*Store, *[]string) {
	t.Helper()
	root, ran := t.TempDir(), new([]string)
	for _, file := range files {
		path, body, _ := strings.Cut(file, "=")
		if err := os.MkdirAll(filepath.Dir(root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &Store{root: root, real: true, run: func(program string, args []string) error {
		*ran = append(*ran, strings.Join(append([]string{program}, args...), " "))
		return nil
	}}, ran
}

func set(t *testing.T, s *Store, removeDefaults bool, certificates ...string) Result {
	t.Helper()
	result, err := s.set(&Wanted{certificates, removeDefaults})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func read(t *testing.T, path string) string {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func anchored(t *testing.T, dir string) string {
	t.Helper()
	paths, _ := filepath.Glob(dir + "/gaovm-*.crt")
	all := ""
	for _, path := range paths {
		all += read(t, path)
	}
	return all
}

func TestDebianByItsProgramAndOnlyAfterAChange(t *testing.T) {
	s, ran := guest(t, "/usr/sbin/update-ca-certificates=", "/usr/local/share/ca-certificates/x=",
		"/etc/ca-certificates.conf=# list\nmozilla/A.crt\n!mozilla/B.crt\n")
	if set(t, s, false).Changed || len(*ran) != 0 {
		t.Fatal("nothing was wanted, and something was done")
	}
	for range 2 {
		set(t, s, false, one)
	}
	if len(*ran) != 1 || (*ran)[0] != "/usr/sbin/update-ca-certificates" {
		t.Fatalf("ran %q", *ran)
	}
	anchors := s.root + "/usr/local/share/ca-certificates"
	if got := anchored(t, anchors); got != one {
		t.Fatalf("got %q", got)
	}
	set(t, s, true, other)
	if got := anchored(t, anchors); got != other {
		t.Fatalf("got %q", got)
	}
	if got := read(t, s.root+"/etc/ca-certificates.conf"); got != "# list\n!mozilla/A.crt\n!mozilla/B.crt\n" {
		t.Fatalf("got %q", got)
	}
	if !set(t, s, false).Changed || anchored(t, anchors) != "" {
		t.Fatal("the certificates stay although none is wanted")
	}
	if got := read(t, s.root+"/etc/ca-certificates.conf"); got != "# list\nmozilla/A.crt\n!mozilla/B.crt\n" {
		t.Fatalf("got %q", got)
	}
	if set(t, s, false).Changed || len(*ran) != 3 {
		t.Fatalf("ran %q", *ran)
	}
}

func TestFedoraPutsItsOwnAside(t *testing.T) {
	s, ran := guest(t, "/usr/bin/update-ca-trust=", "/etc/pki/ca-trust/source/anchors/x=", "/usr/share/pki/ca-trust-source/bundle=own")
	set(t, s, true, one)
	if (*ran)[0] != "/usr/bin/update-ca-trust extract" || anchored(t, s.root+"/etc/pki/ca-trust/source/anchors") != one {
		t.Fatalf("ran %q", *ran)
	}
	if left, _ := os.ReadDir(s.root + "/usr/share/pki/ca-trust-source"); len(left) != 0 {
		t.Fatal("the distribution's own are still there")
	}
	set(t, s, false)
	if read(t, s.root+"/usr/share/pki/ca-trust-source/bundle") != "own" {
		t.Fatal("the distribution's own are not back")
	}
}

func TestWithoutAProgramTheBundleIsWritten(t *testing.T) {
	own := begin + "OWN\n" + end
	s, _ := guest(t, "/etc/ssl/cert.pem="+own)
	if how := set(t, s, false, one).How; how != "/etc/ssl/cert.pem" {
		t.Fatalf("got %q", how)
	}
	path := s.root + "/etc/ssl/cert.pem"
	if got := read(t, path); !strings.Contains(got, one) || !strings.HasPrefix(got, own) {
		t.Fatalf("got %q", got)
	}
	set(t, s, true, other)
	if got := read(t, path); !strings.Contains(got, other) || strings.Contains(got, "OWN") {
		t.Fatalf("got %q", got)
	}
	set(t, s, false)
	if got := read(t, path); got != own {
		t.Fatalf("got %q", got)
	}
}

func TestAChangeThatFailsIsMadeAgain(t *testing.T) {
	s, _ := guest(t, "/usr/sbin/update-ca-certificates=", "/usr/local/share/ca-certificates/x=")
	good := s.run
	s.run = func(string, []string) error { return errors.New("no space") }
	if _, err := s.set(&Wanted{[]string{one}, false}); err == nil {
		t.Fatal("a failure was not told")
	}
	s.run = good
	if !set(t, s, false, one).Changed {
		t.Fatal("the change was not made again")
	}
}

func TestOnlyCertificatesPass(t *testing.T) {
	for _, text := range []string{"", "MIIB", one + other, one + "x", "x" + one} {
		if (&Wanted{Certificates: []string{text}}).check() == nil {
			t.Errorf("%q passes", text)
		}
	}
}
