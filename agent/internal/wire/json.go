package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// MaxBody is the longest JSON body, in bytes.
const MaxBody = 1 << 20

// DecodeJSON reads exactly one JSON object and refuses unknown fields.
func DecodeJSON(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return BadField(kind.Field, "expected "+kind.Type.String()+", got "+kind.Value)
	case err != nil:
		return Fail(CodeBadRequest, err.Error())
	case decoder.More():
		return Fail(CodeBadRequest, "more than one JSON value")
	}
	return nil
}

// ReadBody decodes the body of a plain call, which has at most 1 MiB.
func ReadBody(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return err
	}
	if len(body) > MaxBody {
		return Fail(CodeBadRequest, "the body is longer than 1 MiB")
	}
	return DecodeJSON(body, into)
}

// WriteJSON answers a plain call.
func WriteJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err == nil && len(body) > MaxBody {
		err = Fail(CodeInternal, "the answer is longer than 1 MiB")
	}
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"encoding"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// WriteError answers a plain call that has failed.
func WriteError(w http.ResponseWriter, err error) {
	told := AsError(err)
	WriteJSON(w, HTTPStatus(told.Code), map[string]*Error{"error": told})
}
