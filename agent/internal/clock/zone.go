package clock

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"gaovm/agent/internal/sys"
	"gaovm/agent/internal/wire"
)

const (
	zoneFiles = "/usr/share/zoneinfo"
	localTime = "/etc/localtime"
	zoneName  = "/etc/timezone"
	maxRules  = 64 << 10
	rulesHead = "TZif" // RFC 8536
)

// Zone is a time zone: its name in the zone database, and its file in base64 for a guest without
// that database.
type Zone struct {
	Name  string `json:"name"`
	Rules string `json:"rules"`
}

// Check refuses a name that is none, and rules that are no zone's file.
func (z *Zone) Check(field string) error {
	if !filepath.IsLocal(z.Name) || len(z.Name) > 128 || strings.ContainsAny(z.Name, "\n\x00 ") {
		return wire.BadField(field+".name", "not the name of a time zone")
	}
	if rules, err := base64.StdEncoding.DecodeString(z.Rules); err != nil || len(rules) > maxRules ||
		len(rules) > 0 && !strings.HasPrefix(string(rules), rulesHead) {
		return wire.BadField(field+".rules", "not base64 of a time zone's file")
	}
	return nil
}

// SetZone makes the zone the local one, below root, and writes its name to /etc/timezone. Programs
// that run keep the zone that they have read.
func SetZone(root string, z *Zone) error {
	rules, _ := base64.StdEncoding.DecodeString(z.Rules)
	path := root + localTime
	switch {
	case sys.Exists(filepath.Join(root, zoneFiles, z.Name)):
		if err := leadTo(path, ".."+zoneFiles+"/"+z.Name); err != nil {
			return err
		}
	case len(rules) > 0:
		if old, err := sys.ReadBounded(path, maxRules); err != nil || string(old) != string(rules) {
			if err := sys.ReplaceFile(path, rules, 0o644); err != nil {
				return err
			}
		}
	default:
		return errors.New("neither host nor guest knows " + z.Name)
	}
	body := z.Name + "\n"
	if old, err := sys.ReadBounded(root+zoneName, wire.MaxPath); err == nil && string(old) == body {
		return nil
	}
	return sys.ReplaceFile(root+zoneName, []byte(body), 0o644)
}

// leadTo replaces what is at path by a link, atomically.
func leadTo(path, target string) error {
	if old, err := os.Readlink(path); err == nil && old == target {
		return nil
	}
	temp := path + ".gaovm"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
