"""What a seed tells the guest: cloud-init, images made for Lima, and the agent."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import yaml
from tests.unit.builder import samples

from gaovm.builder import network
from gaovm.images.seed import files, iso9660, writing
from gaovm.spec.guest import Script
from gaovm.spec.supervision import Supervision, Watchdog
from gaovm.spec.vm import VmSpec

AGENT = b"the agent"


def texts(spec: VmSpec) -> dict[str, str]:
    """Return the files of a seed by name."""
    return {file.name: file.data.decode() for file in files.files(spec, AGENT, "gaovm-p-1")}


def variables(text: str) -> dict[str, str]:
    """Return the variables of lines KEY=VALUE."""
    return dict(line.split("=", 1) for line in text.splitlines())


def test_cloud_init_gets_the_name_and_the_instance() -> None:
    assert yaml.safe_load(texts(samples.spec())["meta-data"]) == {
        "instance-id": "gaovm-p-1",
        "local-hostname": "p",
    }


def test_cloud_init_makes_no_user_and_starts_the_agent() -> None:
    text = texts(samples.spec())["user-data"]
    assert text.startswith("#cloud-config\n")
    data = yaml.safe_load(text)
    assert data["users"] == [""]
    assert data["growpart"] == {"mode": "auto", "devices": ["/"]}
    (script,) = data["bootcmd"]
    assert "gaovm-agent install" in script
    # cloud-init joins all commands to one script, which must go on behind this one
    assert script.startswith("(\n") and script.endswith(")\n")


def test_the_network_has_the_addresses_of_every_guest() -> None:
    spec = samples.spec()
    data = yaml.safe_load(texts(spec)["network-config"])
    assert data["version"] == 2
    card = data["ethernets"]["eth0"]
    assert card["match"] == {"macaddress": network.mac(spec.name)}
    assert card["addresses"] == [f"{network.GUEST}/24"]
    assert card["routes"] == [{"to": "0.0.0.0/0", "via": network.GATEWAY}]
    assert card["nameservers"] == {"addresses": [network.DNS]}
    inside = msgspec.structs.replace(spec.guest, servers=("9.9.9.9", "1.1.1.1"))
    asked = texts(msgspec.structs.replace(spec, guest=inside))["network-config"]
    card = yaml.safe_load(asked)["ethernets"]["eth0"]
    assert card["nameservers"] == {"addresses": ["9.9.9.9", "1.1.1.1"]}


def test_images_made_for_lima_get_their_variables() -> None:
    found = variables(texts(samples.spec())["lima.env"])
    assert found["LIMA_CIDATA_USER"] == "u"
    assert found["LIMA_CIDATA_UID"] == "1000"
    assert found["LIMA_CIDATA_HOME"] == "/home/u.guest"
    assert found["LIMA_CIDATA_NAME"] == "p-dev"
    assert found["LIMA_CIDATA_SLIRP_GATEWAY"] == network.GATEWAY


def test_a_value_of_several_lines_adds_no_variable() -> None:
    spec = samples.spec()
    guest = msgspec.structs.replace(spec.guest, env={"A": "1\nLIMA_CIDATA_USER=root"})
    found = texts(msgspec.structs.replace(spec, guest=guest))
    assert variables(found["etc_environment"]) == {"A": r'"1\nLIMA_CIDATA_USER=root"'}


def test_parameters_are_those_of_the_scripts() -> None:
    spec = samples.spec()
    script = Script(name="s", mode="system", script="true", env={"PARAM_X": "1", "OTHER": "2"})
    guest = msgspec.structs.replace(spec.guest, provision=(script,))
    assert texts(msgspec.structs.replace(spec, guest=guest))["param.env"] == "PARAM_X=1\n"


def test_the_agent_learns_its_digest_and_the_watchdog() -> None:
    spec = samples.spec()
    found = variables(texts(spec)["gaovm.env"])
    assert found["AGENT_SHA256"] == hashlib.sha256(AGENT).hexdigest()
    assert found["WATCHDOG_S"] == "0"
    watched = Supervision(watchdog=Watchdog(device=True, timeout_s=45))
    found = variables(texts(msgspec.structs.replace(spec, supervision=watched))["gaovm.env"])
    assert found["WATCHDOG_S"] == "45"


def test_programs_can_be_executed() -> None:
    modes = {file.name: file.mode for file in files.files(samples.spec(), AGENT, "x")}
    executable = {name for name, mode in modes.items() if mode == 0o755}
    assert executable == {"gaovm-agent", "lima-guestagent", "boot.sh"}


def test_a_seed_is_written_once(tmp_path: Path) -> None:
    agent, target = tmp_path / "agent", tmp_path / "cidata.iso"
    agent.write_bytes(AGENT)
    writing.write(target, samples.spec(), agent, "a")
    first = target.stat()
    assert target.read_bytes() == iso9660.image("cidata", files.files(samples.spec(), AGENT, "a"))
    writing.write(target, samples.spec(), agent, "a")
    assert target.stat().st_ino == first.st_ino
    writing.write(target, samples.spec(), agent, "b")
    assert b"instance-id: b\n" in target.read_bytes()
