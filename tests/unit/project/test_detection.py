"""What projects are made with: each kind of file, and files that want to do harm."""

from __future__ import annotations

import json

import pytest

from gaovm.project.detection import clues, detect, finding, versions


def one(files: dict[str, str], marks: tuple[str, ...] = ()) -> finding.Finding:
    found = detect.detect(files, marks)
    assert found.unreadable == ()
    (only,) = found.findings
    return only


def numbers(found: finding.Finding) -> list[int]:
    return [port.number for port in found.ports]


def package(**fields: object) -> dict[str, str]:
    return {"package.json": json.dumps(fields)}


def test_an_empty_directory_has_nothing() -> None:
    assert detect.detect({}) == detect.Detected(findings=())


@pytest.mark.parametrize(
    ("script", "ports"),
    [
        ("vite --host", [5173]),
        ("NODE_ENV=dev next dev", [3000]),
        ("next dev -p 4000", [4000]),
        ("PORT=3100 react-scripts start", [3100]),
        ("./node_modules/.bin/astro dev", [4321]),
        ("ng serve --port=4300", [4300]),
        ("node server.js", []),
        ("tsc -p tsconfig.json && vite", [5173]),
        ("vite --port 99999", []),
        ("echo invite next-door", []),
    ],
)
def test_a_script_of_node_names_its_port(script: str, ports: list[int]) -> None:
    found = one(package(scripts={"dev": script}))
    assert (found.name, found.packages, numbers(found)) == ("Node.js", ("nodejs", "npm"), ports)


def test_a_library_gives_the_port_where_no_script_does() -> None:
    found = one(package(scripts={"start": "node ."}, dependencies={"express": "4"}))
    assert found.ports == (finding.Port(number=3000, why="Express's usual port"),)
    assert one(package(dependencies={"express": "4"})).ports == (), "a library starts no server"


@pytest.mark.parametrize(
    ("engines", "noted"), [(">=20", True), ("^22.1", True), (">=16", False), ("^16 || >=20", False)]
)
def test_an_engine_newer_than_debians_is_noted(engines: str, noted: bool) -> None:
    notes = one(package(engines={"node": engines})).notes
    assert bool(notes) == noted
    assert all("Debian 12 has Node.js 18" in note for note in notes)


def test_package_managers() -> None:
    assert one(package(), ("yarn.lock",)).packages == ("nodejs", "yarnpkg")
    assert "npm install -g pnpm" in one(package(packageManager="pnpm@9.1.0")).notes[0]


@pytest.mark.parametrize(
    ("files", "marks", "packages", "ports"),
    [
        ({"requirements.txt": "Django>=4\npsycopg2_binary\n"}, (), (), [8000]),
        ({"requirements.txt": "psycopg2==2.9\n-r other.txt\n"}, (), ("libpq-dev",), []),
        ({}, ("manage.py",), (), [8000]),
        ({"pyproject.toml": '[project]\ndependencies = ["Flask [async] >= 2"]'}, (), (), [5000]),
        (
            {"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.10"\nfastapi = "*"'},
            (),
            ("python3-poetry",),
            [8000],
        ),
        ({"Pipfile": '[packages]\nstreamlit = "*"'}, (), ("pipenv",), [8501]),
    ],
)
def test_python(
    files: dict[str, str], marks: tuple[str, ...], packages: tuple[str, ...], ports: list[int]
) -> None:
    found = one(files, marks)
    assert found.packages[:3] == ("python3", "python3-venv", "python3-pip")
    assert set(packages) <= set(found.packages)
    assert numbers(found) == ports


def test_a_newer_python_is_noted() -> None:
    found = one({"pyproject.toml": '[project]\nrequires-python = ">=3.12,<4"'})
    assert found.notes == ("the project wants Python 3.12 or newer; Debian 12 has Python 3.11",)


def test_go() -> None:
    text = "module x.org/y\n\ngo 1.22\n\nrequire (\n\tgithub.com/labstack/echo/v4 v4.1.0 // x\n)\n"
    found = one({"go.mod": text})
    assert (numbers(found), found.packages[0]) == ([1323], "golang-go")
    assert "Go 1.22" in found.notes[0]
    single = "module a.b/c\ngo 1.18\nrequire github.com/gin-gonic/gin v1.9.0\n"
    assert numbers(one({"go.mod": single})) == [8080]
    assert one({"go.mod": "module github.com/gin-gonic/gin\n"}).ports == ()


def test_rust() -> None:
    found = one({"Cargo.toml": '[package]\nedition = "2024"\n[dependencies]\naxum = "0.7"\n'})
    assert (numbers(found), "Rust 1.85" in found.notes[0]) == ([3000], True)
    found = one({"Cargo.toml": '[workspace.dependencies]\nopenssl = "0.10"\n'})
    assert "libssl-dev" in found.packages and found.notes == ()


def test_ruby() -> None:
    found = one({"Gemfile": "ruby '3.3.0'\n# gem 'jekyll'\ngem 'rails', '~> 7'\ngem(\"pg\")\n"})
    assert (numbers(found), "libpq-dev" in found.packages) == ([3000], True)
    assert "Ruby 3.3.0" in found.notes[0]


def test_a_dockerfile_exposes() -> None:
    text = "FROM x\nexpose 8080/tcp 9000-9002\n# EXPOSE 1\nEXPOSE 53/udp $PORT 0 70000\n"
    found = one({"Dockerfile": text})
    assert (found.packages, found.docker) == (("docker.io",), True)
    assert numbers(found) == [8080, 9000, 9001, 9002]


COMPOSE = """\
x-common: &common {restart: always}
services:
  web:
    <<: *common
    ports:
      - "127.0.0.1:8081:80"
      - "${PORT:-8082}:80"
      - "[::1]:8083:80"
      - "8084:80/udp"
      - "3000"
      - "9000-9001:80-81"
      - {target: 80, published: "8085"}
      - {target: 80, published: 8086, protocol: udp}
  db: {image: x}
"""


def test_compose_publishes_and_then_expose_does_not_count() -> None:
    found = one({"compose.yml": COMPOSE, "Dockerfile": "EXPOSE 1234\n"})
    assert found.packages == ("docker.io", "docker-compose")
    assert numbers(found) == [8081, 8082, 8083, 9000, 9001, 8085]
    found = one({"compose.yml": "services: {web: {build: .}}", "Dockerfile": "EXPOSE 1234\n"})
    assert numbers(found) == [1234]


def test_several_kinds_join_and_ports_are_once() -> None:
    found = detect.detect(
        {**package(scripts={"dev": "next"}), "Dockerfile": "EXPOSE 3000\n", "go.mod": "module x\n"}
    )
    assert [each.name for each in found.findings] == ["Node.js", "Go", "Docker"]
    assert [(port.number, port.why) for port in found.ports] == [(3000, "Next.js: npm run dev")]
    assert found.packages == ("nodejs", "npm", "golang-go", "gcc", "libc6-dev", "docker.io")


BROKEN = {
    "package.json": ["", "[" * 9000, "[1]", '{"scripts": 4, "engines": [], "dependencies": []}'],
    "pyproject.toml": ["[", "a." * 9000 + "=1", "project = 4", "[tool]\npoetry = 1"],
    "Pipfile": ["packages = 3"],
    "Cargo.toml": ["package = 3\ndependencies = 1", "x"],
    "compose.yaml": ["- a", "a: [", "services: []", "services: {a: {ports: {b: 1}}, c: 3}", "!x y"],
    "Gemfile": ["gem '\n", "\0"],
    "go.mod": ["go go go", "require\n"],
    "requirements.txt": ["-e .\n# x\n\n===\n"],
    "Dockerfile": ["EXPOSE", "EXPOSE 99999999999999999999"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts]
)
def test_broken_files_raise_nothing_and_give_no_port(name: str, text: str) -> None:
    assert detect.detect({name: text}).ports == ()


def test_a_broken_file_leaves_the_other_kinds() -> None:
    found = detect.detect({"package.json": "{", "go.mod": "module x\n"})
    assert (found.unreadable, [each.name for each in found.findings]) == (("Node.js",), ["Go"])


def test_nothing_of_a_files_text_gets_into_a_finding() -> None:
    """A guest can write the files, and the host writes what is found into a config."""
    evil = "evil; rm -rf /"
    found = detect.detect(
        {
            **package(
                name=evil,
                scripts={evil: "vite", "dev": f"vite --port 4000 {evil}"},
                engines={"node": f">=99 {evil}"},
                packageManager=f"{evil}@1",
            ),
            "requirements.txt": f"{evil}\n",
            "go.mod": f"go 9.9{evil}\nrequire {evil} v1\n",
            "Gemfile": f"gem 'evil'\nruby '9 {evil}'\n",
            "Cargo.toml": f'[package]\nrust-version = "9.9 {evil}"\n',
            "compose.yaml": f"services: {{'{evil}': {{ports: ['80 {evil}:80', '80:80 {evil}']}}}}",
        }
    )
    assert "evil" not in repr(found)
    assert len(found.findings) == 6


def test_the_number_of_ports_is_bounded() -> None:
    text = "".join(f"EXPOSE {port}\n" for port in range(1000, 3000))
    assert len(one({"Dockerfile": text}).ports) == finding.MOST_PORTS
    assert len(one({"Dockerfile": "EXPOSE 1-65535\n"}).ports) == finding.MOST_PORTS


@pytest.mark.parametrize(
    ("requirement", "least"),
    [
        (">=3.11,<4", (3, 11)),
        ("<4,>=3.9", (3, 9)),
        ("^18 || >=20", (18,)),
        ("~> 3.2.1", (3, 2, 1)),
        ("1.22", (1, 22)),
        ("<2", None),
        ("*", None),
        (None, None),
        ("1" * 500, None),
    ],
)
def test_the_least_version(requirement: object, least: versions.Version | None) -> None:
    assert versions.least(requirement) == least


def test_what_is_read_is_a_plain_list_of_names_in_the_project() -> None:
    for name in (*clues.READ, *clues.MARKS):
        assert not name.startswith("/") and ".." not in name
