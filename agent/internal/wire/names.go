package wire

import "strings"

// These checks use no regular expressions: compiling those took a third of the agent's start under
// TCG.

// MaxPath is the longest path, in bytes, that the kernel takes.
const MaxPath = 4096

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// madeOf tells whether text has 1 to limit characters, all of them allowed.
func madeOf(text, allowed string, limit int) bool {
	return text != "" && len(text) <= limit && strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune(allowed, r)
	}) < 0
}

// ValidHostname accepts the names that sethostname(2) and the C library take.
func ValidHostname(name string) bool {
	return madeOf(name, letters+digits+".-", 64) && !strings.ContainsAny(name[:1]+name[len(name)-1:], ".-")
}

// ValidDomain accepts a DNS name.
func ValidDomain(name string) bool { return madeOf(name, letters+digits+".-", 253) }

// ValidVariable accepts the names of variables that a shell can set.
func ValidVariable(name string) bool {
	return madeOf(name, letters+digits+"_", 255) && !strings.ContainsAny(name[:1], digits)
}

// ValidUserName accepts the names that other systems accept, except those that the account files or
// a command line could take for something else.
func ValidUserName(name string) bool {
	return madeOf(name, letters+digits+"_.@-", 64) && strings.ContainsAny(name[:1], letters+"_")
}
