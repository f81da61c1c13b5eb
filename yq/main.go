// Command gaovm-yq evaluates what `gaovm lima` takes from Lima's users: expressions of yq and
// templates of Go. It reads documents on standard input and writes results on standard output.
//
//	gaovm-yq eval [-in json|yaml] [-out json|yaml] [-indent N] [-color] [-text] EXPRESSION
//	gaovm-yq template TEXT
//	gaovm-yq fields
//	gaovm-yq yq ARGS...      yq's own command line
//
// eval and template take expressions from scripts and files, so they reach nothing: no files, no
// environment, no programs; and their time, memory and output are bounded.
package main

import (
	"errors"
	"fmt"
	"os"

	command "github.com/mikefarah/yq/v4/cmd"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error: "+err.Error())
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("a command is missing: eval, template, fields or yq")
	}
	switch args[0] {
	case "eval":
		return bounded(os.Stdout, func(out *limited) error { return eval(args[1:], os.Stdin, out) })
	case "template":
		return bounded(os.Stdout, func(out *limited) error { return execute(args[1:], os.Stdin, out) })
	case "fields":
		return fields(os.Stdout)
	case "yq":
		yq(args[1:])
		return nil
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// yq runs yq's own command line. It may read files and the environment: a person typed it.
func yq(args []string) {
	root := command.New()
	if _, _, err := root.Find(args); err != nil && (len(args) == 0 || args[0] != "__complete") {
		args = append([]string{"eval"}, args...) // the command that yq means without a name
	}
	root.SetArgs(args)
	if root.Execute() != nil {
		os.Exit(1) // it has said why
	}
}
