"""``message``: Go templates as Lima's templates use them."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import CALLER, IMAGE, load, with_image
from tests.unit.project.test_upstream_templates import TEMPLATES, Upstream

from gaovm.project import config, context
from gaovm.project.lima import gotemplates

VALUES: dict[str, gotemplates.Value] = {"A": "a", "N": 3, "Yes": True, "No": False, "Empty": ""}


def look(path: tuple[str, ...]) -> gotemplates.Value:
    name = ".".join(path)
    if name == "Gone.below":
        return None
    if name not in VALUES:
        raise gotemplates.Unsupported(name)
    return VALUES[name]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("{{.A}} {{ .N }} {{.Yes}}", "a 3 true"),
        ("x  {{- .A -}}  y", "xay"),
        ("{{/* nothing */}}x", "x"),
        ("{{.Gone.below}}", "<no value>"),
        ("{{if .Yes}}1{{else}}2{{end}}", "1"),
        ("{{if .No}}1{{else}}2{{end}}", "2"),
        ("{{if .Empty}}1{{else if .Yes}}2{{else}}3{{end}}", "2"),
        ("{{if .Yes}}1{{else if .Unknown}}2{{end}}", "1"),
        ("{{if .No}}{{.Unknown}}{{if .Yes}}1{{else}}2{{end}}{{end}}x", "x"),
        ('{{if eq .A "b" "a"}}1{{end}}', "1"),
        ("{{if ne .N 3}}1{{end}}", ""),
        ('{{if and .Yes (not .No) (eq .A "a")}}1{{end}}', "1"),
        ("{{or .Empty .A}}", "a"),
        ("{{if eq .N `3`}}1{{end}}", ""),
        ('{{"quoted \\" text"}}', 'quoted " text'),
        ("a\n  {{- if .Yes}}\n  b\n  {{- end}}\nc", "a\n  b\nc"),
    ],
)
def test_what_a_template_becomes(template: str, expected: str) -> None:
    assert gotemplates.expand(template, look) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{.Unknown}}",
        "{{range .A}}{{end}}",
        "{{.A | len}}",
        "{{if .Yes}}",
        "{{end}}",
        "{{else}}",
        "{{if}}{{end}}",
        "{{if .Yes}}{{else when}}{{end}}",
        "{{.A",
        "{{not .A .A}}",
        "{{printf .A}}",
        "{{}}",
        "{{.A .A}}",
        "{{(.A}}",
        "{{if " + "(" * 30 + ".A" + ")" * 30 + "}}{{end}}",
        "{{if .Yes}}" * 30,
        "{{.A}}" * 2000,
    ],
)
def test_what_needs_more_of_go(template: str) -> None:
    with pytest.raises(gotemplates.Unsupported):
        gotemplates.expand(template, look)


def message(text: str) -> str:
    return load(with_image(f"cpus: 3\nmessage: '{text}'")).spec.message


def test_a_message_knows_the_vm_and_its_config() -> None:
    assert (
        message("{{.Name}} {{.Instance.CPUs}} {{.HostOS}}/{{.HostArch}}") == "p-dev 3 linux/amd64"
    )
    assert message("{{.Config.CPUs}} {{.Instance.Config.VMOpts.vz}}") == "3 <no value>"
    assert message("{{.Dir}} {{.LimaHome}} {{.Status}}") == "/g/vms/p-dev /g Running"


def test_a_message_that_needs_more_keeps_its_actions_and_warns() -> None:
    loaded = load("message: '{{.Name}} {{range .X}}{{end}}'\n" + IMAGE)
    assert loaded.spec.message == "p-dev {{range .X}}{{end}}"
    assert "{{range .X}} is not known and left as it is" in loaded.warnings[0]


@pytest.mark.parametrize("name", ["docker", "podman-rootful", "buildkit", "experimental/u7s"])
def test_upstream_s_messages_are_expanded(name: str) -> None:
    host = context.Host("x86_64", "/g/vms/p-dev")
    text = (TEMPLATES / f"{name}.yaml").read_text()
    loaded = config.load(text, name, CALLER, "/home/ann/p", "p-dev", host, resolver=Upstream())
    assert "{{" not in loaded.spec.message
    assert "Rosetta" not in loaded.spec.message
    if name == "podman-rootful":
        assert "podman --remote run" in loaded.spec.message
