"""Go (``go.mod``) and Rust (``Cargo.toml``)."""

from __future__ import annotations

from collections.abc import Mapping

from gaovm.project.detection import clues, finding, reading, versions

_GO_THERE = (1, 19)
#: Module -> name and port of its examples and defaults.
_GO_SERVERS: dict[str, tuple[str, int]] = {
    "github.com/gin-gonic/gin": ("Gin", 8080),
    "github.com/labstack/echo": ("Echo", 1323),
    "github.com/gofiber/fiber": ("Fiber", 3000),
    "github.com/go-chi/chi": ("chi", 3000),
    "github.com/beego/beego": ("Beego", 8080),
    "github.com/gohugoio/hugo": ("Hugo", 1313),
}

_RUST_THERE = (1, 63)
_RUST_SERVERS: dict[str, tuple[str, int]] = {
    "actix-web": ("Actix Web", 8080),
    "axum": ("axum", 3000),
    "rocket": ("Rocket", 8000),
    "warp": ("warp", 3030),
    "poem": ("Poem", 3000),
    "leptos": ("Leptos", 3000),
    "dioxus": ("Dioxus", 8080),
    "yew": ("Yew with Trunk", 8080),
}
_RUST_LIBRARIES: dict[str, tuple[str, ...]] = {
    "openssl": ("libssl-dev",),
    "native-tls": ("libssl-dev",),
    "reqwest": ("libssl-dev",),
    "diesel": ("libpq-dev",),
    "rusqlite": ("libsqlite3-dev",),
}


def find_go(files: Mapping[str, str]) -> finding.Finding | None:
    """Return what a ``go.mod`` says; None without one."""
    text = files.get(clues.GO_MOD[0])
    if text is None:
        return None
    modules, version = _go_lines(text)
    servers = [
        (port, name)
        for module, (name, port) in _GO_SERVERS.items()
        if any(each == module or each.startswith(module + "/") for each in modules)
    ]
    return finding.Finding(
        name="Go",
        files=clues.GO_MOD,
        packages=("golang-go", "gcc", "libc6-dev"),
        ports=finding.ports(servers),
        notes=versions.note("Go", version, _GO_THERE),
    )


def _go_lines(text: str) -> tuple[list[str], str | None]:
    """Return the modules that a ``go.mod`` requires, and the version of Go that it names."""
    modules: list[str] = []
    version = None
    for line in text.splitlines()[: reading.MAX_ENTRIES]:
        words = line.split("//")[0].split()
        if len(words) == 2 and words[0] == "go":
            version = words[1]
        elif words[:1] == ["require"]:
            words = words[1:]
        if len(words) == 2 and words[1].startswith("v"):
            modules.append(words[0])
    return modules, version


def find_rust(files: Mapping[str, str]) -> finding.Finding | None:
    """Return what a ``Cargo.toml`` says; None without one.

    Raises:
        reading.Unreadable: it is no TOML.
    """
    text = files.get(clues.CARGO[0])
    if text is None:
        return None
    root = reading.toml_table(text)
    crates = _crates(root)
    packages = ["cargo", "rustc", "gcc", "libc6-dev", "pkg-config"]
    for crate, more in _RUST_LIBRARIES.items():
        packages += more if crate in crates else ()
    package = reading.table(root, "package") or reading.table(root, "workspace", "package")
    wanted = package.get("rust-version") or ("1.85" if package.get("edition") == "2024" else None)
    return finding.Finding(
        name="Rust",
        files=clues.CARGO,
        packages=tuple(dict.fromkeys(packages)),
        ports=finding.ports([(p, n) for key, (n, p) in _RUST_SERVERS.items() if key in crates]),
        notes=versions.note("Rust", wanted, _RUST_THERE),
    )


def _crates(root: Mapping[str, object]) -> set[str]:
    tables = (("dependencies",), ("dev-dependencies",), ("workspace", "dependencies"))
    return {crate for keys in tables for crate in reading.table(root, *keys)}
