package main

import (
	"sort"
	"strings"
)

// Debian's defaults, of login.defs.
const (
	rootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	userPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
)

// checkEnvironment refuses names and values that an environment cannot hold.
func checkEnvironment(field string, env map[string]string) error {
	for name, value := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return badField(field, "not a name and value of an environment variable")
		}
	}
	return nil
}

// buildEnvironment lays the maps over the account's defaults, the later over the earlier.
func buildEnvironment(u *account, term string, layers ...map[string]string) map[string]string {
	env := map[string]string{
		"HOME": u.home, "USER": u.name, "LOGNAME": u.name, "SHELL": u.shell,
		"LANG": "C.UTF-8", "PATH": userPath,
	}
	if u.uid == 0 {
		env["PATH"] = rootPath
	}
	if term != "" {
		env["TERM"] = term
	}
	for _, layer := range layers {
		for name, value := range layer {
			env[name] = value
		}
	}
	return env
}

func environmentList(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	return list
}
