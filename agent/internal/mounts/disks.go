package mounts

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"gaovm/agent/internal/disk"
	"gaovm/agent/internal/journal"
	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"

	"golang.org/x/sys/unix"
)

const (
	maxDisks     = 64
	maxArguments = 32
	lowerCase    = "abcdefghijklmnopqrstuvwxyz"
)

// DiskSpec is one additional disk, which the agent finds by its serial number.
type DiskSpec struct {
	Serial string   `json:"serial"`
	Path   string   `json:"path"`
	Format bool     `json:"format"` // make a file system if the disk holds nothing at all
	FSType string   `json:"fs_type"`
	FSArgs []string `json:"fs_args"`
}

// DiskResult tells what became of it. FSType is empty when the disk is not mounted: nobody asked
// for a file system, and it has none.
type DiskResult struct {
	Path       string `json:"path"`
	OK         bool   `json:"ok"`
	Error      string `json:"error,omitempty"`
	Code       string `json:"code,omitempty"`
	FSType     string `json:"fs_type,omitempty"`
	Formatted  bool   `json:"formatted,omitempty"`
	TotalBytes uint64 `json:"total_bytes,omitempty"`
}

func (d *DiskSpec) check(field string) error {
	switch {
	case d.Serial == "" || len(d.Serial) > 20 || strings.ContainsAny(d.Serial, "/\x00\n"):
		return wire.BadField(field+".serial", "not a serial number")
	case !filepath.IsAbs(d.Path) || len(d.Path) >= wire.MaxPath || strings.Contains(d.Path, "\x00"):
		return wire.BadField(field+".path", "not an absolute path")
	case d.FSType == "" || len(d.FSType) > 16 || strings.Trim(d.FSType, lowerCase+"0123456789") != "":
		return wire.BadField(field+".fs_type", "not a type of file system")
	case len(d.FSArgs) > maxArguments:
		return wire.BadField(field+".fs_args", "more than 32")
	}
	for _, word := range d.FSArgs {
		if len(word) > 1024 || strings.Contains(word, "\x00") {
			return wire.BadField(field+".fs_args", "not an argument")
		}
	}
	if d.Path = filepath.Clean(d.Path); d.Path == "/" {
		return wire.BadField(field+".path", "the root directory")
	}
	return nil
}

// disksLock makes calls take turns: two must not format one disk.
var disksLock sync.Mutex

// MountDisks formats, mounts and grows the additional disks. The host may repeat it.
func (m *Mounter) MountDisks(r *http.Request) (any, error) {
	var body struct {
		Disks []DiskSpec `json:"disks"`
	}
	if err := wire.ReadBody(r, &body); err != nil {
		return nil, err
	}
	if len(body.Disks) > maxDisks {
		return nil, wire.BadField("disks", "more than 64")
	}
	for i := range body.Disks {
		if err := body.Disks[i].check("disks[" + strconv.Itoa(i) + "]"); err != nil {
			return nil, err
		}
	}
	disksLock.Lock()
	defer disksLock.Unlock()
	results := make([]DiskResult, 0, len(body.Disks))
	for _, spec := range body.Disks {
		result := DiskResult{Path: spec.Path, OK: true}
		if m.Real {
			if err := m.mountDisk(spec, &result); err != nil {
				told := wire.AsError(err)
				result.OK, result.Error, result.Code = false, told.Message, told.Code
				journal.Own.Add(journal.LevelWarn, "disk at "+spec.Path+": "+told.Message)
			}
		}
		results = append(results, result)
	}
	return map[string][]DiskResult{"disks": results}, nil
}

func (m *Mounter) mountDisk(spec DiskSpec, result *DiskResult) error {
	device, err := disk.Find(spec.Serial)
	if err != nil {
		return err
	}
	mounted, err := sys.ReadBounded("/proc/self/mountinfo", sys.MaxProcFile)
	if err != nil {
		return err
	}
	source, kind := topMount(string(mounted), spec.Path)
	if source != device {
		if kind, err = m.mountNew(spec, device, result); err != nil || kind == "" {
			return err
		}
	}
	result.FSType = kind
	if err := disk.GrowMounted(device, spec.Path, kind); err != nil {
		journal.Warn("growing the file system at " + spec.Path + ": " + err.Error())
	}
	var now unix.Statfs_t
	if err := unix.Statfs(spec.Path, &now); err != nil {
		return err
	}
	result.TotalBytes = now.Blocks * uint64(now.Bsize)
	return nil
}

// mountNew mounts a disk that is not mounted yet, and returns the type of its file system. Only a
// disk that holds nothing at all is formatted.
func (m *Mounter) mountNew(spec DiskSpec, device string, result *DiskResult) (string, error) {
	content, err := disk.Inspect(device)
	if err != nil {
		return "", err
	}
	if content.FSType != "" {
		if err := disk.GrowPartition(device); err != nil {
			journal.Warn("growing the partition " + device + ": " + err.Error())
		}
	}
	fsType := content.FSType
	if content.Empty {
		if !spec.Format {
			return "", nil
		}
		if err := disk.Format(device, spec.FSType, filepath.Base(spec.Path), spec.FSArgs); err != nil {
			return "", err
		}
		result.Formatted = true
		journal.Info("made a file system of type " + spec.FSType + " on " + device)
	}
	if fsType == "" {
		fsType = spec.FSType
	}
	owner, err := m.Accounts.Find("")
	if err != nil {
		return "", err
	}
	if err := makeMountPoint(spec.Path, owner); err != nil {
		return "", err
	}
	err = unix.Mount(device, spec.Path, fsType, 0, "")
	foreign := content.FSType == "" && !content.Empty && errors.Is(err, unix.EINVAL)
	switch {
	case foreign && spec.Format:
		return "", wire.Fail(wire.CodeConflict, "the disk is not empty and holds no "+fsType+" that can be mounted; it was not formatted")
	case foreign:
		return "", nil
	case errors.Is(err, unix.ENODEV):
		return "", wire.Fail(wire.CodeUnsupported, "the guest's kernel has no "+fsType)
	case err != nil:
		return "", &os.PathError{Op: "mount " + fsType + " " + device, Path: spec.Path, Err: err}
	}
	if result.Formatted { // it is the user's, and whoever changes that later is not corrected
		if err := os.Lchown(spec.Path, int(owner.UID), int(owner.GID)); err != nil {
			return "", err
		}
	}
	return fsType, nil
}
