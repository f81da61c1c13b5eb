"""The host's time zone, and the rules of zones."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaovm.platform import timezones


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    zones = tmp_path / "zoneinfo"
    (zones / "Europe").mkdir(parents=True)
    (zones / "Europe" / "Oslo").write_bytes(b"TZif2 rules")
    (zones / "leapseconds").write_text("# text")
    (tmp_path / "secret").write_bytes(b"TZif")
    monkeypatch.setattr(timezones, "DIRECTORY", zones)
    monkeypatch.setattr(timezones, "LOCAL", tmp_path / "localtime")
    monkeypatch.setattr(timezones, "NAMED", tmp_path / "timezone")
    return tmp_path


def test_the_link_names_the_zone(host: Path) -> None:
    (host / "localtime").symlink_to("../usr/share/zoneinfo/Europe/Oslo")
    (host / "timezone").write_text("Etc/UTC\n")
    assert timezones.of_host() == "Europe/Oslo"


def test_a_host_whose_local_time_is_a_file(host: Path) -> None:
    (host / "localtime").write_bytes(b"TZif")
    assert timezones.of_host() == ""
    (host / "timezone").write_text("Europe/Oslo\n")
    assert timezones.of_host() == "Europe/Oslo"
    (host / "timezone").write_text("Europe/Nowhere\n")
    assert timezones.of_host() == ""


def test_only_rules_of_the_database_are_read(host: Path) -> None:
    assert timezones.data("Europe/Oslo") == b"TZif2 rules"
    for name in ("", "../secret", "/etc/passwd", "leapseconds", "Europe", "x" * 5000, "a\0b"):
        assert timezones.data(name) is None
