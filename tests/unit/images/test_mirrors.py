"""The host's apt sources in both formats, and which of them a build uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaovm import errors
from gaovm.images import mirrors

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
# another
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
Enabled: no
URIs: http://disabled.example/debian
Suites: bookworm
Components: main
"""


def test_deb822() -> None:
    found = mirrors.parse_deb822(DEB822)
    assert [(s.uri, s.suite) for s in found] == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
        ("http://mirror.example/debian-security", "bookworm-security"),
    ]
    assert found[0].signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert found[2].signed_by is None


def test_one_line_form() -> None:
    text = """
    # deb http://no.example/debian bookworm main
    deb-src http://no.example/debian bookworm main
    deb [arch=amd64 signed-by=/etc/apt/x.gpg] https://m.example/debian bookworm main contrib # c
    deb [ trusted=yes ] http://t.example/debian bookworm main
    nonsense
    """
    found = mirrors.parse_list(text)
    assert [s.uri for s in found] == ["https://m.example/debian", "http://t.example/debian"]
    assert found[0].components == ("main", "contrib")
    assert found[0].signed_by == "/etc/apt/x.gpg"
    assert found[1].trusted


def test_a_build_gets_one_mirror_per_suite_of_its_release() -> None:
    sources = mirrors.parse_deb822(DEB822) + mirrors.parse_list(
        "deb http://second.example/debian bookworm main\ndeb http://x.example/u noble main\n"
    )
    chosen = mirrors.choose(sources, "bookworm", ("main",))
    assert [s.line() for s in chosen] == [
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        " http://mirror.example/debian bookworm main",
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        " http://mirror.example/debian bookworm-updates main",
        "deb http://mirror.example/debian-security bookworm-security main",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "deb http://m.example/ubuntu jammy main",
        "deb http://m.example/debian bookworm-security main",
        "deb http://m.example/debian bookworm contrib",
        "deb cdrom:[Debian]/ bookworm main",
        "deb file:/srv/mirror bookworm main",
    ],
)
def test_a_host_without_a_source_of_the_suite_gives_no_mirror(line: str) -> None:
    assert mirrors.choose(mirrors.parse_list(line), "bookworm", ("main",)) == []


def test_files_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "b.sources").write_text(DEB822)
    (parts / "c.list").write_text("deb http://c.example/debian bookworm main\n")
    (parts / "d.list.disabled").write_text("deb http://d.example/debian bookworm main\n")
    uris = [s.uri for s in mirrors.host_sources(tmp_path)]
    assert uris[0] == "http://a.example/debian"
    assert uris[-1] == "http://c.example/debian"
    assert len(uris) == 5
    assert mirrors.host_sources(tmp_path / "nowhere") == []


@pytest.mark.parametrize("bad", ["not a url", "ftp://x/y", "http://a b", "http://x/\ndeb y", ""])
def test_a_mirror_must_be_a_url(bad: str) -> None:
    with pytest.raises(errors.UsageError, match="mirror"):
        mirrors.explicit(bad, "bookworm", ("main",))


def test_an_explicit_mirror_is_the_only_source() -> None:
    found = mirrors.explicit("https://m.example/debian", "bookworm", ("main",))
    assert [s.line() for s in found] == ["deb https://m.example/debian bookworm main"]


def test_proxies_are_for_the_build_only() -> None:
    dump = (
        'Acquire::http::Proxy "http://proxy.example:3142";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'Acquire::https "";\n'
        'APT::Architecture "amd64";\n'
    )
    build, guest = mirrors.build_settings(dump), mirrors.guest_settings(dump)
    assert 'Acquire::http::Proxy "http://proxy.example:3142";' in build
    assert "proxy" not in guest.lower()
    assert "Check-Valid-Until" in build
    assert "Check-Valid-Until" in guest
    assert "Architecture" not in build
