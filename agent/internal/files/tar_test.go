package files

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gaovm/agent/internal/wire"
)

func makeTar(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		body := h.Linkname
		if h.Typeflag == tar.TypeReg {
			h.Linkname, h.Size = "", int64(len(body))
		}
		h.Uid, h.Gid = os.Geteuid(), os.Getegid()
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

var dot = tar.Header{Typeflag: tar.TypeDir, Name: "./"}

// extract runs with a standard input that is at its end: the extractor reads that to its end last.
func extract(t *testing.T, archive *bytes.Buffer, job job) error {
	t.Helper()
	old := os.Stdin
	defer func() { os.Stdin = old }()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	os.Stdin = null
	return extractTar(archive, job)
}

func TestExtractNeverLeavesTheDestination(t *testing.T) {
	for name, headers := range map[string][]tar.Header{
		"climbs":            {dot, {Typeflag: tar.TypeReg, Name: "../evil", Linkname: "x"}},
		"climbs in between": {dot, {Typeflag: tar.TypeReg, Name: "a/../../evil", Linkname: "x"}},
		"absolute":          {dot, {Typeflag: tar.TypeReg, Name: "/evil", Linkname: "x"}},
		"through its link":  {dot, {Typeflag: tar.TypeSymlink, Name: "l", Linkname: ".."}, {Typeflag: tar.TypeReg, Name: "l/evil", Linkname: "x"}},
		"hard link out":     {dot, {Typeflag: tar.TypeLink, Name: "h", Linkname: "../outside"}},
		"hard link by link": {dot, {Typeflag: tar.TypeSymlink, Name: "l", Linkname: ".."}, {Typeflag: tar.TypeLink, Name: "h", Linkname: "l/outside"}},
		"over a directory":  {dot, {Typeflag: tar.TypeDir, Name: "d"}, {Typeflag: tar.TypeReg, Name: "d", Linkname: "x"}},
		"no root":           {{Typeflag: tar.TypeReg, Name: "a", Linkname: "x"}},
		"two files":         {{Typeflag: tar.TypeReg, Name: "FILE", Linkname: "x"}, {Typeflag: tar.TypeReg, Name: "b", Linkname: "x"}},
		"a device as FILE":  {{Typeflag: tar.TypeChar, Name: "FILE"}},
	} {
		base := t.TempDir()
		if err := os.WriteFile(filepath.Join(base, "outside"), []byte("safe"), 0o600); err != nil {
			t.Fatal(err)
		}
		job := job{Path: filepath.Join(base, "in", "dst"), Name: "src", Mkdirs: true}
		if err := extract(t, makeTar(t, headers...), job); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := os.Lstat(filepath.Join(base, "evil")); err == nil {
			t.Errorf("%s: escaped", name)
		}
		if _, err := os.Lstat(filepath.Join(base, "in", "evil")); err == nil {
			t.Errorf("%s: escaped", name)
		}
	}
}

func TestExtractDoesNotWriteThroughALinkThatWasThere(t *testing.T) {
	base := t.TempDir()
	outside := filepath.Join(base, "outside")
	_ = os.WriteFile(outside, []byte("safe"), 0o600)
	_ = os.Mkdir(filepath.Join(base, "dst"), 0o755)
	_ = os.Symlink(outside, filepath.Join(base, "dst", "a"))
	archive := makeTar(t, dot, tar.Header{Typeflag: tar.TypeReg, Name: "a", Linkname: "new"})
	if err := extract(t, archive, job{Path: base, Name: "dst"}); err != nil {
		t.Fatal(err)
	}
	body, _ := os.ReadFile(outside)
	placed, _ := os.ReadFile(filepath.Join(base, "dst", "a"))
	if string(body) != "safe" || string(placed) != "new" {
		t.Fatalf("got %q %q", body, placed)
	}
}

func TestCopyTarget(t *testing.T) {
	base := t.TempDir()
	file := filepath.Join(base, "file")
	_ = os.WriteFile(file, nil, 0o600)
	for _, c := range []struct {
		path   string
		mkdirs bool
		want   string
		code   string
	}{
		{base, false, filepath.Join(base, "src"), ""},
		{base + "/", false, filepath.Join(base, "src"), ""},
		{filepath.Join(base, "new"), false, filepath.Join(base, "new"), ""},
		{file, false, file, ""},
		{file + "/", false, "", wire.CodeExists},
		{filepath.Join(base, "no", "new"), false, "", wire.CodeNotFound},
		{filepath.Join(base, "new") + "/", false, "", wire.CodeNotFound},
		{filepath.Join(base, "made") + "/", true, filepath.Join(base, "made", "src"), ""},
		{filepath.Join(base, "m", "k", "new"), true, filepath.Join(base, "m", "k", "new"), ""},
	} {
		got, err := copyTarget(job{Path: c.path, Name: "src", Mkdirs: c.mkdirs})
		if c.code == "" && (err != nil || got != c.want) || c.code != "" && asWireErrorCode(err) != c.code {
			t.Errorf("%+v: got %q %v", c, got, err)
		}
	}
}

func asWireErrorCode(err error) string {
	if err == nil {
		return ""
	}
	return wire.AsError(err).Code
}

func TestTarRoundTrip(t *testing.T) {
	base := t.TempDir()
	src := filepath.Join(base, "src")
	_ = os.MkdirAll(filepath.Join(src, "sub"), 0o750)
	_ = os.WriteFile(filepath.Join(src, "sub", "a"), bytes.Repeat([]byte("a\x00"), 200_000), 0o640)
	_ = os.Link(filepath.Join(src, "sub", "a"), filepath.Join(src, "b"))
	_ = os.Symlink("/etc/passwd", filepath.Join(src, "link"))
	when := time.Unix(1_600_000_000, 5000)
	_ = os.Chtimes(filepath.Join(src, "sub"), when, when)
	_ = os.Chmod(filepath.Join(src, "sub"), 0o500)
	var stream bytes.Buffer
	if err := emitTar(&stream, src); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(base, "dst")
	if err := extract(t, &stream, job{Path: dst, Name: "src"}); err != nil {
		t.Fatal(err)
	}
	body, _ := os.ReadFile(filepath.Join(dst, "sub", "a"))
	first, _ := os.Stat(filepath.Join(dst, "sub", "a"))
	second, err := os.Stat(filepath.Join(dst, "b"))
	link, _ := os.Readlink(filepath.Join(dst, "link"))
	dir, _ := os.Stat(filepath.Join(dst, "sub"))
	if err != nil || len(body) != 400_000 || !os.SameFile(first, second) || link != "/etc/passwd" ||
		first.Mode().Perm() != 0o640 || dir.Mode().Perm() != 0o500 || !dir.ModTime().Equal(when) {
		t.Fatalf("got %d bytes, %v %v %q %v %v", len(body), first, second, link, dir.Mode(), dir.ModTime())
	}
	for _, path := range []string{filepath.Join(src, "sub"), filepath.Join(dst, "sub")} {
		_ = os.Chmod(path, 0o700) // so that the test's directory can be removed
	}
}

func TestADirectoryThatIsThereKeepsItsMode(t *testing.T) {
	dst := t.TempDir()
	for _, name := range []string{"src", "src/deep"} {
		_ = os.Mkdir(filepath.Join(dst, name), 0o700)
		_ = os.Chmod(filepath.Join(dst, name), 0o777|os.ModeSticky)
	}
	deep := tar.Header{Typeflag: tar.TypeDir, Name: "./deep/"}
	made := tar.Header{Typeflag: tar.TypeDir, Name: "./made/", Mode: 0o750}
	if err := extract(t, makeTar(t, dot, deep, made), job{Path: dst, Name: "src"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{
		"src": 0o777 | os.ModeSticky, "src/deep": 0o777 | os.ModeSticky, "src/made": 0o750,
	} {
		info, err := os.Stat(filepath.Join(dst, name))
		if err != nil || info.Mode()&^os.ModeDir != want {
			t.Errorf("%s: %v %v, not %v", name, info, err, want)
		}
	}
}

func TestEmitOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one")
	_ = os.WriteFile(path, []byte("body"), 0o600)
	var stream bytes.Buffer
	if err := emitTar(&stream, path); err != nil {
		t.Fatal(err)
	}
	if h, err := tar.NewReader(&stream).Next(); err != nil || h.Name != "FILE" || h.Size != 4 {
		t.Fatalf("got %+v %v", h, err)
	}
	if err := emitTar(&stream, path+"/"); asWireErrorCode(err) != wire.CodeNotFound {
		t.Fatalf("got %v", err)
	}
	err := emitTar(&stream, path+"x")
	if told := wire.AsError(err).Message; told != path+"x: no such file or directory" {
		t.Fatalf("a user is told %q", told)
	}
}

func TestExpandPath(t *testing.T) {
	for path, want := range map[string]string{
		"~": "/h", "~/x/": "/h/x/", "x/../y": "/h/y", "/a//b/": "/a/b/", "/": "/",
	} {
		if got, err := expandPath(path, "/h"); err != nil || got != want {
			t.Errorf("%q: got %q %v", path, got, err)
		}
	}
	if _, err := expandPath("", "/h"); err == nil {
		t.Error("accepted nothing")
	}
}

func TestWhatIsReplacedStaysUntilTheNewIsWhole(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "a")
	if err := os.WriteFile(old, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := makeTar(t, tar.Header{Typeflag: tar.TypeReg, Name: "FILE", Linkname: string(make([]byte, 4096))})
	if err := extract(t, bytes.NewBuffer(whole.Bytes()[:2048]), job{Path: old}); err == nil {
		t.Error("an archive that is cut off was taken")
	}
	if found, _ := os.ReadFile(old); string(found) != "precious" {
		t.Errorf("left: %q", found)
	}
	if err := extract(t, whole, job{Path: old}); err != nil {
		t.Fatal(err)
	}
	// Hard links, twice: the second time each replaces a name of the very same file.
	for range 2 {
		tree := makeTar(t, dot, tar.Header{Typeflag: tar.TypeDir, Name: "d"}, tar.Header{Typeflag: tar.TypeReg, Name: "d/x", Linkname: "1"},
			tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: "d/x"})
		if err := extract(t, tree, job{Path: dir, Name: "tree"}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int{dir: 2, filepath.Join(dir, "tree"): 2, filepath.Join(dir, "tree", "d"): 1} {
		if found, err := os.ReadDir(path); err != nil || len(found) != want {
			t.Errorf("%s holds %v", path, found)
		}
	}
	if found, _ := os.ReadFile(old); len(found) != 4096 {
		t.Errorf("%d bytes", len(found))
	}
}

func TestAFileGoesWhereTheLinkLeadsThatHasItsName(t *testing.T) {
	dir := t.TempDir()
	file, link, dangling := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
	_ = os.WriteFile(file, []byte("old"), 0o600)
	_ = os.Symlink("file", link)
	_ = os.Symlink("nothing", dangling)
	for _, target := range []string{link, dangling} {
		if err := extract(t, makeTar(t, tar.Header{Typeflag: tar.TypeReg, Name: "FILE", Linkname: "new"}), job{Path: target}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]fs.FileMode{file: 0, link: fs.ModeSymlink, dangling: 0} {
		info, err := os.Lstat(path)
		if found, _ := os.ReadFile(path); err != nil || string(found) != "new" || info.Mode().Type() != want {
			t.Errorf("%s: %q %v", path, found, info.Mode())
		}
	}
	archive := makeTar(t, tar.Header{Typeflag: tar.TypeReg, Name: "FILE", Linkname: "x"})
	if err := extract(t, archive, job{Path: os.DevNull}); asWireErrorCode(err) != wire.CodeExists {
		t.Errorf("a device was replaced: %v", err)
	}
}

func TestEmitWhatTheKernelMakesUp(t *testing.T) {
	want, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Skip("no /proc here")
	}
	var out bytes.Buffer
	if err := emitTar(&out, "/proc/version"); err != nil {
		t.Fatal(err)
	}
	reader := tar.NewReader(&out)
	header, err := reader.Next()
	if err != nil || header.Size != int64(len(want)) {
		t.Fatalf("%v %v", header, err)
	}
	if found, _ := io.ReadAll(reader); !bytes.Equal(found, want) {
		t.Errorf("%q", found)
	}
	if err := emitTar(&out, "/dev/null"); err == nil {
		t.Error("a device was copied")
	}
}
