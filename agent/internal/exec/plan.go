package exec

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"gaovm/agent/internal/account"
	"gaovm/agent/internal/cgroups"
	"gaovm/agent/internal/process"
	"gaovm/agent/internal/wire"
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

// execPlan is what an exec runs, decided before the agent creates anything.
type execPlan struct {
	account    *account.Account
	candidates []string // the paths to try, in the order of PATH
	argv       []string
	env        []string
	cwd        string
	tty        bool
	rows, cols uint16
}

func (r *Runner) plan(req *execStart) (*execPlan, error) {
	if err := checkExec(req); err != nil {
		return nil, err
	}
	who, err := r.accounts.Find(req.User)
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
	r.mu.Lock()
	configured := r.env
	r.mu.Unlock()
	env := buildEnvironment(who, term, r.accounts.EnterSession(who), configured, req.Env)
	plan.env = environmentList(env)
	switch {
	case len(req.Argv) == 0:
		plan.argv, plan.candidates = []string{"-" + filepath.Base(who.Shell)}, []string{who.Shell}
	case req.Login:
		plan.argv = append([]string{who.Shell, "-lc", `exec "$@"`, who.Shell}, req.Argv...)
		plan.candidates = []string{who.Shell}
	default:
		plan.argv, plan.candidates = req.Argv, searchPath(req.Argv[0], env["PATH"])
	}
	return plan, nil
}

func checkExec(req *execStart) error {
	for _, arg := range req.Argv {
		if strings.Contains(arg, "\x00") {
			return wire.BadField("argv", "an argument holds a NUL")
		}
	}
	if len(req.Argv) > 0 && req.Argv[0] == "" {
		return wire.BadField("argv", "the program's name is empty")
	}
	if req.Cwd != "" && (!filepath.IsAbs(req.Cwd) || strings.Contains(req.Cwd, "\x00")) {
		return wire.BadField("cwd", "not an absolute path")
	}
	if strings.ContainsAny(req.Term, "\x00") {
		return wire.BadField("term", "holds a NUL")
	}
	return checkEnvironment("env", req.Env)
}

// chooseCwd is the wanted directory. Without one, or when it is missing and cwd_home_ok is set, it
// is the home, else the root directory.
func chooseCwd(req *execStart, who *account.Account) (string, error) {
	if req.Cwd != "" {
		info, err := os.Stat(req.Cwd)
		if err == nil && info.IsDir() && (!req.CwdHomeOK || who.Searchable(req.Cwd)) {
			return req.Cwd, nil
		}
		if !req.CwdHomeOK {
			return "", wire.Fail(wire.CodeBadCwd, "no directory "+strconv.Quote(req.Cwd)+" in the guest")
		}
	}
	if info, err := os.Stat(who.Home); err == nil && info.IsDir() && who.Searchable(who.Home) {
		return who.Home, nil
	}
	return "/", nil
}

// searchPath lists the files of PATH that have the name. The kernel decides at exec whether the
// user may run one.
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

// start runs the first candidate that the kernel accepts, as execvp(3) does.
func (plan *execPlan) start(s *cgroups.Slot, files []uintptr) (*process.Process, error) {
	result := wire.Fail(wire.CodeNotFound, plan.argv[0]+": not found")
	for _, path := range plan.candidates {
		p, err := process.Start(s, path, plan.argv, plan.env, plan.cwd, plan.account.Credential(), files, plan.tty)
		if errors.Is(err, syscall.ENOEXEC) { // a script whose first line names no interpreter
			argv := append([]string{"/bin/sh", path}, plan.argv[1:]...)
			p, err = process.Start(s, "/bin/sh", argv, plan.env, plan.cwd, plan.account.Credential(), files, plan.tty)
		}
		switch {
		case err == nil:
			return p, nil
		case errors.Is(err, syscall.EACCES) && !plan.account.Searchable(plan.cwd):
			return nil, wire.Fail(wire.CodeBadCwd, "the user may not enter "+strconv.Quote(plan.cwd))
		case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOEXEC):
			result = wire.Fail(wire.CodeNotExecutable, path+": "+err.Error())
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		case errors.Is(err, syscall.E2BIG):
			return nil, wire.BadField("argv", "arguments and environment are too long")
		default:
			return nil, wire.Fail(wire.CodeInternal, path+": "+err.Error())
		}
	}
	return nil, result
}
