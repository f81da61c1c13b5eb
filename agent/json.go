package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

const maxBody = 1 << 20

// decodeJSON reads exactly one JSON object and refuses unknown fields.
func decodeJSON(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return badField(kind.Field, "expected "+kind.Type.String()+", got "+kind.Value)
	case err != nil:
		return fail(codeBadRequest, err.Error())
	case decoder.More():
		return fail(codeBadRequest, "more than one JSON value")
	}
	return nil
}

// readBody decodes the body of a plain call, at most 1 MiB of it.
func readBody(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return err
	}
	if len(body) > maxBody {
		return fail(codeBadRequest, "the body is longer than 1 MiB")
	}
	return decodeJSON(body, into)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err == nil && len(body) > maxBody {
		err = fail(codeInternal, "the answer is longer than 1 MiB")
	}
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"encoding"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func writeError(w http.ResponseWriter, err error) {
	wire := asWireError(err)
	writeJSON(w, httpStatus(wire.Code), map[string]*wireError{"error": wire})
}
