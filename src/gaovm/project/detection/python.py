"""Python: ``pyproject.toml``, requirements files, ``Pipfile``, ``setup.py`` and ``manage.py``."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gaovm.project.detection import clues, finding, reading, versions

_THERE = (3, 11)
_BASE = ("python3", "python3-venv", "python3-pip")
_COMPILED = ("python3-dev", "gcc")
#: Requirement -> packages that building it needs.
_LIBRARIES: dict[str, tuple[str, ...]] = {
    "psycopg2": (*_COMPILED, "libpq-dev"),
    "mysqlclient": (*_COMPILED, "pkg-config", "default-libmysqlclient-dev"),
    "pycairo": (*_COMPILED, "pkg-config", "libcairo2-dev"),
    "python-ldap": (*_COMPILED, "libldap-dev", "libsasl2-dev"),
    "pycurl": (*_COMPILED, "libcurl4-openssl-dev", "libssl-dev"),
}
#: Requirement -> the port of its development server (from the manual of each).
_SERVERS: dict[str, tuple[str, int]] = {
    "django": ("Django", 8000),
    "flask": ("Flask", 5000),
    "fastapi": ("FastAPI", 8000),
    "uvicorn": ("Uvicorn", 8000),
    "gunicorn": ("Gunicorn", 8000),
    "litestar": ("Litestar", 8000),
    "starlette": ("Starlette", 8000),
    "aiohttp": ("aiohttp", 8080),
    "streamlit": ("Streamlit", 8501),
    "dash": ("Dash", 8050),
    "gradio": ("Gradio", 7860),
    "jupyter": ("Jupyter", 8888),
    "jupyterlab": ("Jupyter", 8888),
    "notebook": ("Jupyter", 8888),
    "mkdocs": ("MkDocs", 8000),
}


def find(files: Mapping[str, str], marks: Collection[str]) -> finding.Finding | None:
    """Return what the files of Python say; None where there are none.

    Raises:
        reading.Unreadable: a file does not have its format.
    """
    names = (*clues.PYPROJECT, *clues.REQUIREMENTS, *clues.PIPFILE)
    seen = [name for name in names if name in files]
    seen += [name for name in ("setup.py", "manage.py") if name in marks]
    if not seen:
        return None
    project = reading.toml_table(files.get("pyproject.toml", ""))
    pipfile = reading.toml_table(files.get("Pipfile", ""))
    needs = _requirements(files, project, pipfile)
    if "manage.py" in marks:
        needs.add("django")
    return finding.Finding(
        name="Python",
        files=tuple(seen),
        packages=_packages(needs, project, pipfile),
        ports=finding.ports([(p, n) for key, (n, p) in _SERVERS.items() if key in needs]),
        notes=versions.note("Python", _wanted(project), _THERE),
    )


def _wanted(project: Mapping[str, object]) -> object:
    poetry = reading.table(project, "tool", "poetry", "dependencies")
    return reading.table(project, "project").get("requires-python") or poetry.get("python")


def _requirements(
    files: Mapping[str, str], project: Mapping[str, object], pipfile: Mapping[str, object]
) -> set[str]:
    listed = reading.words(reading.table(project, "project").get("dependencies"))
    groups = reading.table(project, "project", "optional-dependencies")
    for group in (*groups.values(), *reading.table(project, "dependency-groups").values()):
        listed += reading.words(group)
    listed += reading.table(project, "tool", "poetry", "dependencies")
    for kind in ("packages", "dev-packages"):
        listed += reading.table(pipfile, kind)
    for name in clues.REQUIREMENTS:
        listed += files.get(name, "").splitlines()
    return reading.requirement_names(listed)


def _packages(
    needs: set[str], project: Mapping[str, object], pipfile: Mapping[str, object]
) -> tuple[str, ...]:
    found = [*_BASE]
    if reading.table(project, "tool", "poetry"):
        found.append("python3-poetry")
    if pipfile:
        found.append("pipenv")
    for need, packages in _LIBRARIES.items():
        found += packages if need in needs else ()
    return tuple(dict.fromkeys(found))
