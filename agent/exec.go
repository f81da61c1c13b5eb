package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// execStart is the START frame of an exec.
type execStart struct {
	Argv      []string          `json:"argv"`
	Env       map[string]string `json:"env"`
	Cwd       string            `json:"cwd"`
	CwdHomeOK bool              `json:"cwd_home_ok"`
	User      string            `json:"user"`
	TTY       bool              `json:"tty"`
	Term      string            `json:"term"`
	Rows      uint16            `json:"rows"`
	Cols      uint16            `json:"cols"`
	Login     bool              `json:"login"`
}

// execPlan is what will be run, decided before anything is created.
type execPlan struct {
	account    *account
	candidates []string // paths to try, in the order of PATH
	argv       []string
	env        []string
	cwd        string
	tty        bool
	rows, cols uint16
}

func (a *agent) planExec(req *execStart) (*execPlan, error) {
	if err := checkExec(req); err != nil {
		return nil, err
	}
	who, err := a.accountFor(req.User)
	if err != nil {
		return nil, err
	}
	plan := &execPlan{account: who, tty: req.TTY, rows: req.Rows, cols: req.Cols}
	if plan.cwd, err = chooseCwd(req, who); err != nil {
		return nil, err
	}
	term := ""
	if req.TTY {
		if term = req.Term; term == "" {
			term = "xterm-256color"
		}
	}
	a.mu.Lock()
	configured := a.env
	a.mu.Unlock()
	env := buildEnvironment(who, term, a.enterSession(who), configured, req.Env)
	plan.env = environmentList(env)
	switch {
	case len(req.Argv) == 0:
		plan.argv, plan.candidates = []string{"-" + filepath.Base(who.shell)}, []string{who.shell}
	case req.Login:
		plan.argv = append([]string{who.shell, "-lc", `exec "$@"`, who.shell}, req.Argv...)
		plan.candidates = []string{who.shell}
	default:
		plan.argv, plan.candidates = req.Argv, searchPath(req.Argv[0], env["PATH"])
	}
	return plan, nil
}

func checkExec(req *execStart) error {
	for _, arg := range req.Argv {
		if strings.Contains(arg, "\x00") {
			return badField("argv", "an argument holds a NUL")
		}
	}
	if len(req.Argv) > 0 && req.Argv[0] == "" {
		return badField("argv", "the program's name is empty")
	}
	if req.Cwd != "" && (!filepath.IsAbs(req.Cwd) || strings.Contains(req.Cwd, "\x00")) {
		return badField("cwd", "not an absolute path")
	}
	if strings.ContainsAny(req.Term, "\x00") {
		return badField("term", "holds a NUL")
	}
	return checkEnvironment("env", req.Env)
}

// chooseCwd is the wanted directory, else, where that is allowed, the home, else the root directory.
func chooseCwd(req *execStart, who *account) (string, error) {
	if req.Cwd != "" {
		info, err := os.Stat(req.Cwd)
		if err == nil && info.IsDir() && (!req.CwdHomeOK || who.searchable(req.Cwd)) {
			return req.Cwd, nil
		}
		if !req.CwdHomeOK {
			return "", fail(codeBadCwd, "no directory "+strconv.Quote(req.Cwd)+" in the guest")
		}
	}
	if info, err := os.Stat(who.home); err == nil && info.IsDir() && who.searchable(who.home) {
		return who.home, nil
	}
	return "/", nil
}

// searchPath lists the files that a name may stand for. Whether the user may run one, the kernel says at exec.
func searchPath(name, path string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var found []string
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		candidate := dir + "/" + name
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() {
			found = append(found, candidate)
		}
	}
	return found
}

// start tries the candidates as execvp(3) does.
func (plan *execPlan) start(s *slot, files []uintptr) (*process, error) {
	result := fail(codeNotFound, plan.argv[0]+": not found")
	for _, path := range plan.candidates {
		p, err := startProcess(s, path, plan.argv, plan.env, plan.cwd, plan.account, files, plan.tty)
		if errors.Is(err, syscall.ENOEXEC) { // a script without a first line that names its interpreter
			argv := append([]string{"/bin/sh", path}, plan.argv[1:]...)
			p, err = startProcess(s, "/bin/sh", argv, plan.env, plan.cwd, plan.account, files, plan.tty)
		}
		switch {
		case err == nil:
			return p, nil
		case errors.Is(err, syscall.EACCES) && !plan.account.searchable(plan.cwd):
			return nil, fail(codeBadCwd, "the user may not enter "+strconv.Quote(plan.cwd))
		case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOEXEC):
			result = fail(codeNotExecutable, path+": "+err.Error())
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		case errors.Is(err, syscall.E2BIG):
			return nil, badField("argv", "arguments and environment are too long")
		default:
			return nil, fail(codeInternal, path+": "+err.Error())
		}
	}
	return nil, result
}
