// Package trust makes the guest trust certificates, by the distribution's own program or, without
// one, in the bundle that its libraries read.
package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"gaovm/agent/internal/process"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

const (
	// doneFile holds the digest of what is in force. It is gone while a change is made.
	doneFile        = "/var/lib/gaovm/trust"
	prefix          = "gaovm-"
	aside           = ".gaovm"
	maxCertificates = 128
	maxBundle       = 16 << 20
	maxSaid         = 500
	begin           = "-----BEGIN CERTIFICATE-----\n"
	end             = "-----END CERTIFICATE-----\n"
)

// Store is the trust store below root; real is false in development mode, which changes nothing.
type Store struct {
	root string
	real bool
	run  func(program string, args []string) error
}

// New returns this machine's store.
func New(real bool) *Store { return &Store{real: real, run: run} }

func run(program string, args []string) error {
	var said bytes.Buffer
	command := exec.Command(program, args...)
	command.Env = []string{"PATH=" + process.RootPath, "LANG=C.UTF-8"}
	command.Stderr = &said
	if _, err := process.Output(command); err != nil {
		if last := strings.TrimSpace(said.String()); last != "" {
			return errors.New(err.Error() + ": " + last[max(0, len(last)-maxSaid):])
		}
		return err
	}
	return nil
}

// Wanted is the body of the call.
type Wanted struct {
	Certificates   []string `json:"certificates"`
	RemoveDefaults bool     `json:"remove_defaults"`
}

// Result says whether anything had to be done, and what did it.
type Result struct {
	Changed bool   `json:"changed"`
	How     string `json:"how"`
}

// Call is PUT /v1/trust.
func (s *Store) Call(r *http.Request) (any, error) {
	var wanted Wanted
	if err := wire.ReadBody(r, &wanted); err != nil {
		return nil, err
	}
	if err := wanted.check(); err != nil {
		return nil, err
	}
	if !s.real {
		return Result{}, nil
	}
	return s.set(&wanted)
}

func (w *Wanted) check() error {
	if len(w.Certificates) > maxCertificates {
		return wire.BadField("certificates", "more than "+strconv.Itoa(maxCertificates))
	}
	for i, text := range w.Certificates {
		inner, ok := strings.CutPrefix(text, begin)
		inner, closed := strings.CutSuffix(inner, end)
		if !ok || !closed || strings.Contains(inner, "-----") {
			return wire.BadField("certificates["+strconv.Itoa(i)+"]", "not one certificate in PEM")
		}
	}
	return nil
}

func (w *Wanted) digest() string {
	if len(w.Certificates) == 0 && !w.RemoveDefaults {
		return ""
	}
	text := strconv.FormatBool(w.RemoveDefaults) + "\n" + strings.Join(w.Certificates, "")
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// set does nothing when what is wanted is in force already. It may be repeated after a failure.
func (s *Store) set(w *Wanted) (Result, error) {
	done := s.root + doneFile
	known, err := sys.ReadBounded(done, wire.MaxPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Result{}, err
	}
	digest := w.digest()
	if err == nil && string(known) == digest || err != nil && digest == "" {
		return Result{}, nil
	}
	if err := os.MkdirAll(filepath.Dir(done), 0o755); err != nil {
		return Result{}, err
	}
	// Not the digest of anything: a change that is cut off is made again.
	if err := sys.ReplaceFile(done, []byte("changing"), 0o644); err != nil {
		return Result{}, err
	}
	how, err := s.apply(w)
	if err != nil {
		return Result{}, err
	}
	if digest == "" {
		err = os.Remove(done)
	} else {
		err = sys.ReplaceFile(done, []byte(digest), 0o644)
	}
	return Result{Changed: true, How: how}, err
}

// way is how a family of distributions adds certificates.
type way struct {
	program  string
	args     []string
	anchors  string // the directory of added certificates
	defaults string // what names or holds the distribution's own
}

// The first whose program and directory are there is taken.
var ways = []way{
	{"update-ca-trust", []string{"extract"}, "/etc/pki/ca-trust/source/anchors", "/usr/share/pki/ca-trust-source"},
	{"update-ca-certificates", nil, "/etc/pki/trust/anchors", "/usr/share/pki/trust"},
	{"update-ca-trust", nil, "/etc/ca-certificates/trust-source/anchors", "/usr/share/ca-certificates/trust-source"},
	{"update-ca-certificates", nil, "/usr/local/share/ca-certificates", "/etc/ca-certificates.conf"},
}

// bundles are the files that libraries read, where no program makes them.
var bundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}

func (s *Store) apply(w *Wanted) (string, error) {
	for _, way := range ways {
		found := s.find(way.program)
		if found == "" || !sys.Exists(filepath.Dir(s.root+way.anchors)) {
			continue
		}
		if err := s.place(s.root+way.anchors, w.Certificates); err != nil {
			return "", err
		}
		if err := s.putAside(s.root+way.defaults, w.RemoveDefaults); err != nil {
			return "", err
		}
		if err := s.run(found, way.args); err != nil {
			return "", errors.New(way.program + ": " + err.Error())
		}
		return way.program, nil
	}
	return s.bundle(w)
}

func (s *Store) find(program string) string {
	for _, dir := range []string{"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"} {
		if sys.Exists(s.root + dir + program) {
			return dir + program
		}
	}
	return ""
}

// place makes the directory's certificates of ours those that are wanted.
func (s *Store) place(dir string, certificates []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, prefix+"*.crt"))
	if err != nil {
		return err
	}
	wanted := map[string]string{}
	for _, text := range certificates {
		sum := sha256.Sum256([]byte(text))
		wanted[filepath.Join(dir, prefix+hex.EncodeToString(sum[:8])+".crt")] = text
	}
	for _, path := range old {
		if _, keep := wanted[path]; !keep {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for path, text := range wanted {
		if err := sys.ReplaceFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// putAside takes the distribution's own certificates, or the list of them, out of the program's
// sight, or brings them back.
func (s *Store) putAside(path string, away bool) error {
	kept := path + aside
	info, err := os.Stat(path)
	switch {
	case away && err == nil && !sys.Exists(kept):
		if err := os.Rename(path, kept); err != nil {
			return err
		}
		if info.IsDir() {
			return os.Mkdir(path, info.Mode().Perm())
		}
		return deselect(kept, path, info.Mode().Perm())
	case !away && sys.Exists(kept):
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		return os.Rename(kept, path)
	}
	return nil
}

// deselect writes a list in which every certificate has the mark of one that is to be removed.
func deselect(from, to string, mode fs.FileMode) error {
	body, err := sys.ReadBounded(from, maxBundle)
	if err != nil {
		return err
	}
	lines := sys.SplitLines(string(body))
	for i, line := range lines {
		if line != "" && line[0] != '#' && line[0] != '!' {
			lines[i] = "!" + line
		}
	}
	return sys.ReplaceFile(to, []byte(strings.Join(lines, "\n")+"\n"), mode)
}

// bundle writes the certificates between marker lines of the bundle itself.
func (s *Store) bundle(w *Wanted) (string, error) {
	path := bundles[0]
	for _, known := range bundles {
		if sys.Exists(s.root + known) {
			path = known
			break
		}
	}
	full := s.root + path
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return "", err
	}
	old, err := sys.ReadBounded(full+aside, maxBundle)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = sys.ReadBounded(full, maxBundle)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	own := sys.MarkedSection(string(old), nil)
	if w.RemoveDefaults {
		if err := sys.ReplaceFile(full+aside, []byte(own), 0o644); err != nil {
			return "", err
		}
		own = ""
	}
	body := sys.MarkedSection(own, sys.SplitLines(strings.Join(w.Certificates, "")))
	if err := sys.ReplaceFile(full, []byte(body), 0o644); err != nil {
		return "", err
	}
	if !w.RemoveDefaults {
		if err := os.Remove(full + aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return path, nil
}
