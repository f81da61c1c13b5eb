// Package wire is the data of the contract with the host: error codes, JSON bodies, the frames of
// streams, and checks of names. docs/reference/agent-protocol.md is that contract.
package wire

import (
	"errors"
	"io/fs"
	"net/http"

	"golang.org/x/sys/unix"
)

// Error codes of the wire protocol (docs/reference/agent-protocol.md, parts 3 and 4).
const (
	CodeBadRequest    = "bad-request"
	CodeNotFound      = "not-found"
	CodeNoSuchUser    = "no-such-user"
	CodeInternal      = "internal"
	CodeConflict      = "conflict"
	CodeUnsupported   = "unsupported"
	CodeNotExecutable = "not-executable"
	CodeBadCwd        = "bad-cwd"
	CodeUnreachable   = "unreachable"
	CodeReset         = "reset"
	codePermission    = "permission"
	CodeExists        = "exists"
	codeNoSpace       = "no-space"
)

// Error is the only error type that the host gets.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Fail makes an error with a code.
func Fail(code, message string) *Error { return &Error{Code: code, Message: message} }

// BadField makes the error for a field of a body that the agent does not accept.
func BadField(field, message string) *Error {
	return &Error{Code: CodeBadRequest, Message: message, Field: field}
}

// AsError gives every error a code: its own, else one for its errno, else internal.
func AsError(err error) *Error {
	var coded *Error
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return Fail(CodeNotFound, plain(err))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return Fail(codePermission, plain(err))
	case errors.Is(err, fs.ErrExist), errors.Is(err, unix.EISDIR):
		return Fail(CodeExists, plain(err))
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		return Fail(codeNoSpace, plain(err))
	}
	return Fail(CodeInternal, plain(err))
}

// plain is the text of an error without the name of the system call, which tells a user nothing.
func plain(err error) string {
	if found, ok := err.(*fs.PathError); ok { //nolint:errorlint // an error that wraps it says more
		return found.Path + ": " + found.Err.Error()
	}
	return err.Error()
}

// HTTPStatus is the status of a plain call that fails with this code.
func HTTPStatus(code string) int {
	switch code {
	case CodeBadRequest:
		return http.StatusBadRequest
	case CodeNotFound, CodeNoSuchUser:
		return http.StatusNotFound
	case codePermission:
		return http.StatusForbidden
	case CodeConflict, CodeExists:
		return http.StatusConflict
	case CodeUnsupported:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}
