package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"sort"
)

// instance has the fields that a template of `limactl list --format` may name, as Lima names them.
type instance struct {
	Name            string            `json:"name"`
	Hostname        string            `json:"hostname"`
	Status          string            `json:"status"`
	Dir             string            `json:"dir"`
	VMType          string            `json:"vmType"`
	Arch            string            `json:"arch"`
	CPUs            int               `json:"cpus,omitempty"`
	Memory          int64             `json:"memory,omitempty"`
	Disk            int64             `json:"disk,omitempty"`
	Message         string            `json:"message,omitempty"`
	AdditionalDisks []any             `json:"additionalDisks,omitempty"`
	Networks        []any             `json:"network,omitempty"`
	SSHLocalPort    int               `json:"sshLocalPort,omitempty"`
	SSHConfigFile   string            `json:"sshConfigFile,omitempty"`
	HostAgentPID    int               `json:"hostAgentPID,omitempty"`
	DriverPID       int               `json:"driverPID,omitempty"`
	Errors          []string          `json:"errors,omitempty"`
	Config          config            `json:"config,omitempty"`
	SSHAddress      string            `json:"sshAddress,omitempty"`
	Protected       bool              `json:"protected"`
	LimaVersion     string            `json:"limaVersion"`
	Param           map[string]string `json:"param,omitempty"`

	AutoStartedIdentifier string `json:"autoStartedIdentifier,omitempty"`

	HostOS       string `json:"HostOS" lima:"deprecated"`
	HostArch     string `json:"HostArch" lima:"deprecated"`
	LimaHome     string `json:"LimaHome" lima:"deprecated"`
	IdentityFile string `json:"IdentityFile" lima:"deprecated"`
}

// fields writes the names of the fields, one a line, without the deprecated ones.
func fields(out io.Writer) error {
	names := []string{}
	kind := reflect.TypeOf(instance{})
	for index := range kind.NumField() {
		if field := kind.Field(index); field.Tag.Get("lima") != "deprecated" {
			names = append(names, field.Name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		if _, err := fmt.Fprintln(out, name); err != nil {
			return err
		}
	}
	return nil
}

// config is a config file by the names of Lima's Go fields: {{.Config.SSH.LocalPort}}.
// The key "" has the JSON that it was made of.
type config map[string]any

// goNames has the fields whose Go name is not the JSON name with a capital.
var goNames = map[string]string{
	"9p": "NineP", "binfmt": "BinFmt", "caCerts": "CACertificates", "cpuType": "CPUType",
	"cpus": "CPUs", "dns": "DNS", "guest": "GuestFile", "host": "HostFile", "ipv6": "IPv6",
	"macAddress": "MACAddress", "os": "OS", "ssh": "SSH", "sshfs": "SSHFS", "timezone": "TimeZone",
	"tpm": "TPM", "uid": "UID", "url": "URL", "vmOpts": "VMOpts", "vmType": "VMType", "vnc": "VNC",
	"vzNAT": "VZNAT",
}

// byUser are the maps whose keys are the user's own words.
var byUser = map[string]bool{"cpuType": true, "env": true, "hosts": true, "param": true, "vmOpts": true}

// UnmarshalJSON reads a config, and names its fields as Go code does.
func (c *config) UnmarshalJSON(data []byte) error {
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil || tree == nil {
		return err
	}
	*c = named(tree)
	(*c)[""] = json.RawMessage(append([]byte(nil), data...))
	return nil
}

// MarshalJSON returns the JSON that the config was made of.
func (c config) MarshalJSON() ([]byte, error) {
	if raw, ok := c[""].(json.RawMessage); ok {
		return raw, nil
	}
	return json.Marshal(map[string]any(c))
}

func named(tree map[string]any) config {
	found := make(config, len(tree)+1)
	for key, value := range tree {
		name, known := goNames[key]
		if !known && key != "" {
			name = string(upper(key[0])) + key[1:]
		}
		if byUser[key] {
			found[name] = value
		} else {
			found[name] = children(value)
		}
	}
	return found
}

func children(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return named(value)
	case []any:
		found := make([]any, len(value))
		for index, each := range value {
			found[index] = children(each)
		}
		return found
	case float64:
		if whole := int64(value); float64(whole) == value {
			return whole
		}
	}
	return value
}

func upper(letter byte) byte {
	if 'a' <= letter && letter <= 'z' {
		return letter - 'a' + 'A'
	}
	return letter
}
