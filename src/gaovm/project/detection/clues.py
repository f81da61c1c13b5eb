"""Which files of a project detection looks at. Who only reads them loads nothing else."""

from __future__ import annotations

#: Files that are read, by kind.
PACKAGE_JSON = ("package.json",)
PYPROJECT = ("pyproject.toml",)
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "requirements/base.txt")
PIPFILE = ("Pipfile",)
GO_MOD = ("go.mod",)
CARGO = ("Cargo.toml",)
GEMFILE = ("Gemfile",)
DOCKERFILE = ("Dockerfile", "Containerfile")
COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
#: Files of which only the presence counts; they are not read.
MARKS = ("manage.py", "setup.py", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb")

READ = (
    *(*PACKAGE_JSON, *PYPROJECT, *REQUIREMENTS, *PIPFILE, *GO_MOD, *CARGO),
    *(*GEMFILE, *DOCKERFILE, *COMPOSE),
)
#: A file that is larger, in bytes, is not read: people do not write such files by hand.
MAX_BYTES = 256 << 10
