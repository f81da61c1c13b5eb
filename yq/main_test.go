package main

import (
	"bytes"
	"strings"
	"testing"
)

const two = `{"name":"foo","disk":1048576,"config":{"cpus":4,"env":{"aB":"c"},"ssh":{"localPort":0}}}
{"name":"bar","disk":2}
`

func evaluated(t *testing.T, text string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := eval(args, strings.NewReader(text), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEvalReadsEveryDocument(t *testing.T) {
	got := evaluated(t, two, "-in", "json", "-out", "json", "-indent", "0", ".disk")
	if got != "1048576\n2\n" {
		t.Errorf("got %q", got)
	}
	got = evaluated(t, "# kept\na: 1\n", ".b = 2")
	if got != "# kept\na: 1\nb: 2\n" {
		t.Errorf("got %q", got)
	}
}

func TestAnExpressionReachesNothing(t *testing.T) {
	t.Setenv("SECRET", "x")
	for _, expression := range []string{
		"env(SECRET)", "strenv(SECRET)", `"$SECRET" | envsubst`, `load("/etc/passwd")`,
		`load_str("/etc/passwd")`, `system("id")`,
	} {
		var out bytes.Buffer
		if err := eval([]string{expression}, strings.NewReader("a: 1"), &out); err == nil {
			t.Errorf("%s gave %q", expression, out.String())
		}
	}
}

func executed(t *testing.T, text, documents string) string {
	t.Helper()
	var out bytes.Buffer
	if err := execute([]string{text}, strings.NewReader(documents), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTemplates(t *testing.T) {
	first, _, _ := strings.Cut(two, "\n")
	for _, row := range []struct{ text, documents, want string }{
		{"{{.Name}} {{.Disk}}", two, "foo 1048576\nbar 2\n"},
		{"{{missing .Message}}{{indent 3 .Name}}", first, "<missing>   foo\n"},
		{"{{.Config.CPUs}} {{.Config.Env.aB}} {{.Config.SSH.LocalPort}}", first, "4 c 0\n"},
		{"{{json .Config}}", first, `{"cpus":4,"env":{"aB":"c"},"ssh":{"localPort":0}}` + "\n"},
		{"{{if gt .Disk 5}}large{{end}}", first, "large\n"},
	} {
		if got := executed(t, row.text, row.documents); got != row.want {
			t.Errorf("%s gave %q", row.text, got)
		}
	}
	if got := executed(t, "{{yaml .Config}}", first); !strings.HasPrefix(got, "---\ncpus: 4\n") {
		t.Errorf("got %q", got)
	}
}

func TestATemplateNamesOnlyWhatThereIs(t *testing.T) {
	err := execute([]string{"{{.Unknown}}"}, strings.NewReader(two), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "can't evaluate field Unknown") {
		t.Errorf("got %v", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	out := &limited{to: &bytes.Buffer{}, left: 3}
	if _, err := out.Write([]byte("abc")); err != nil {
		t.Error(err)
	}
	if _, err := out.Write([]byte("d")); err == nil {
		t.Error("a fourth byte was written")
	}
}

func TestFieldsHasNoDeprecatedOnes(t *testing.T) {
	var out bytes.Buffer
	if err := fields(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "LimaHome") || !strings.Contains(out.String(), "\nCPUs\n") {
		t.Errorf("got %q", out.String())
	}
}
