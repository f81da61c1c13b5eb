"""Time zone and host names change in a running VM."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.unit.daemon.conftest import Daemon
from tests.unit.daemon.test_approval import Project

from gaovm.platform import timezones


async def test_time_zone_and_host_names_change_at_once(daemon: Daemon, tmp_path: Path) -> None:
    project = Project(daemon, tmp_path / "web")
    project.text += "timezone: Europe/Oslo\n"
    await project.up()
    project.text = project.text.replace("Europe/Oslo", "Etc/UTC")
    project.text += "hostResolver: {hosts: {db.test: 10.0.0.7}}\n"
    result = await project.up()
    changed = "this was applied at once: timezone, hostResolver.hosts"
    assert any(changed in warning for warning in result["warnings"])
    asked = [params for method, params in daemon.driver.calls if method == "guest.names"]
    rules = base64.b64encode(timezones.data("Etc/UTC") or b"").decode()
    wanted = {"timezone": "Etc/UTC", "rules": rules, "hosts": {"db.test": "10.0.0.7"}}
    assert asked == [wanted, wanted]
    assert daemon.stored()["web-dev"].spec.guest.timezone == "Etc/UTC"


async def test_the_caller_s_proxies_reach_the_running_guest(daemon: Daemon, tmp_path: Path) -> None:
    project = Project(daemon, tmp_path / "web")
    await project.up()
    user = {"name": "ann", "uid": 1000, "gid": 1000, "proxies": {"http_proxy": "http://p:1"}}
    await project.up(user=user)
    sent = [params for method, params in daemon.driver.calls if method == "guest.environment"]
    assert sent[-1]["env"] == {"http_proxy": "http://p:1", "HTTP_PROXY": "http://p:1"}
