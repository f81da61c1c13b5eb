package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"

	yaml "go.yaml.in/yaml/v4"
)

// execute writes a Go template once for each instance of the input, a line break after each.
func execute(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("template takes one text")
	}
	parsed, err := template.New("format").Funcs(functions).Parse(args[0])
	if err != nil {
		return fmt.Errorf("invalid go template: %w", err)
	}
	data, err := input(in)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var each instance
		if err := decoder.Decode(&each); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var line bytes.Buffer
		if err := parsed.Execute(&limited{to: &line, left: maxOutput}, each); err != nil {
			return err
		}
		line.WriteByte('\n')
		if _, err := out.Write(line.Bytes()); err != nil {
			return err
		}
	}
}

// functions are those that Lima gives its templates.
var functions = template.FuncMap{
	"json":    asJSON,
	"yaml":    asYAML,
	"indent":  indent,
	"missing": missing,
}

func asJSON(value any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(text.String(), "\n"), err
}

// asYAML goes by way of JSON, which has the names of the fields.
func asYAML(value any) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return "", err
	}
	block(&tree)
	text, err := yaml.Marshal(&tree)
	return "---\n" + strings.TrimSuffix(string(text), "\n"), err
}

func block(node *yaml.Node) {
	node.Style = 0
	for _, each := range node.Content {
		block(each)
	}
}

// indent puts spaces before each line that is not empty: two, or as many as its first argument.
func indent(args ...any) (string, error) {
	size, text, err := optional(2, args)
	if err != nil {
		return "", err
	}
	if size < 0 || size > 1000 {
		return "", errors.New("indent takes 0 to 1000 spaces")
	}
	lines := strings.Split(text, "\n")
	for index, line := range lines {
		if line != "" {
			lines[index] = strings.Repeat(" ", size) + line
		}
	}
	return strings.Join(lines, "\n"), nil
}

// missing returns its message, "<missing>" by default, in place of an empty text.
func missing(args ...any) (string, error) {
	message, text, err := optional("<missing>", args)
	if text == "" {
		return message, err
	}
	return text, err
}

// optional returns the one or two arguments of a function whose last one is a text.
func optional[T any](first T, args []any) (T, string, error) {
	if len(args) == 0 || len(args) > 2 {
		return first, "", errors.New("expected one or two arguments")
	}
	text, ok := args[len(args)-1].(string)
	if !ok {
		return first, "", errors.New("the last argument must be a text")
	}
	if len(args) == 2 {
		if first, ok = args[0].(T); !ok {
			return first, "", fmt.Errorf("the first argument must be of type %T", first)
		}
	}
	return first, text, nil
}
