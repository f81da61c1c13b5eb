package main

import "strings"

// The checks below are written out: compiling regular expressions took a third of the agent's start under TCG.

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// madeOf tells whether text is 1 to limit characters out of the allowed ones.
func madeOf(text, allowed string, limit int) bool {
	return text != "" && len(text) <= limit && strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune(allowed, r)
	}) < 0
}

func validHostname(name string) bool {
	return madeOf(name, letters+digits+".-", 64) && !strings.ContainsAny(name[:1]+name[len(name)-1:], ".-")
}

func validDomain(name string) bool { return madeOf(name, letters+digits+".-", 253) }

func validVariable(name string) bool {
	return madeOf(name, letters+digits+"_", 255) && !strings.ContainsAny(name[:1], digits)
}

// validUserName allows what other systems allow, without what the account files or a command line could take for
// something else.
func validUserName(name string) bool {
	return madeOf(name, letters+digits+"_.@-", 64) && strings.ContainsAny(name[:1], letters+"_")
}
