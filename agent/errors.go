package main

import (
	"errors"
	"io/fs"
	"net/http"

	"golang.org/x/sys/unix"
)

// Error codes of the wire protocol (docs/reference/agent-protocol.md, parts 3 and 4).
const (
	codeBadRequest    = "bad-request"
	codeNotFound      = "not-found"
	codeNoSuchUser    = "no-such-user"
	codeInternal      = "internal"
	codeConflict      = "conflict"
	codeUnsupported   = "unsupported"
	codeNotExecutable = "not-executable"
	codeBadCwd        = "bad-cwd"
	codeUnreachable   = "unreachable"
	codeReset         = "reset"
	codePermission    = "permission"
	codeExists        = "exists"
	codeNoSpace       = "no-space"
)

// wireError is the one error type that reaches the host.
type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

func (e *wireError) Error() string { return e.Code + ": " + e.Message }

func fail(code, message string) *wireError { return &wireError{Code: code, Message: message} }

func badField(field, message string) *wireError {
	return &wireError{Code: codeBadRequest, Message: message, Field: field}
}

// asWireError gives every error a code; what has none of its own is classified by its errno.
func asWireError(err error) *wireError {
	var wire *wireError
	switch {
	case errors.As(err, &wire):
		return wire
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fail(codeNotFound, plain(err))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return fail(codePermission, plain(err))
	case errors.Is(err, fs.ErrExist), errors.Is(err, unix.EISDIR):
		return fail(codeExists, plain(err))
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return fail(codeNoSpace, plain(err))
	}
	return fail(codeInternal, plain(err))
}

// plain is an error's text without the name of the system call, which says nothing to a user.
func plain(err error) string {
	if found, ok := err.(*fs.PathError); ok { //nolint:errorlint // what wraps one has more to say
		return found.Path + ": " + found.Err.Error()
	}
	return err.Error()
}

// httpStatus is the status of a plain call that failed with this code.
func httpStatus(code string) int {
	switch code {
	case codeBadRequest:
		return http.StatusBadRequest
	case codeNotFound, codeNoSuchUser:
		return http.StatusNotFound
	case codePermission:
		return http.StatusForbidden
	case codeConflict, codeExists:
		return http.StatusConflict
	case codeUnsupported:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}
