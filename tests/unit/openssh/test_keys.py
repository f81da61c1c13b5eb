from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.openssh import keygen, keys, places

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPpmyzAzhYv8CPcrVGy2qOUWVVnwuk/CuEL7sp1YKAPC ann@x"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path / "state"


def test_keys_are_made_once_and_private(home: Path) -> None:
    keys.ensure(str(home), "web")
    private = [Path(places.user_key(str(home))), Path(places.host_key(str(home), "web"))]
    before = [path.read_bytes() for path in private]
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600, 0o600]
    assert stat.S_IMODE((home / "ssh").stat().st_mode) == 0o700
    keys.ensure(str(home), "web")
    keygen.make(str(home), "web")
    assert [path.read_bytes() for path in private] == before
    keys.ensure(str(home), "db")
    assert Path(places.host_key(str(home), "db")).read_bytes() != before[1]
    assert not [path for path in (home / "ssh").rglob(".*")]


def test_ssh_knows_the_host_by_its_alias(home: Path) -> None:
    keys.ensure(str(home), "web")
    argv = ["ssh-keygen", "-F", "gaovm-web", "-f", places.known_hosts(str(home), "web")]
    found = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    public = Path(places.host_key(str(home), "web") + ".pub").read_text().split()
    assert public[1] in found


def test_half_a_key_is_made_again(home: Path) -> None:
    keys.ensure(str(home), "web")
    Path(places.user_key(str(home))).unlink()
    frame = keys.connection(str(home), "web", public_keys=False)
    made = Path(places.user_key(str(home)))
    argv = ["ssh-keygen", "-y", "-f", str(made)]
    public = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert str(frame["authorized_keys"]).count(public.split()[1]) == 1


def test_a_removed_vm_leaves_no_host_key(home: Path) -> None:
    keys.ensure(str(home), "web")
    keygen.remove(str(home), "web")
    keygen.remove(str(home), "web")
    assert os.listdir(home / "ssh" / "hosts") == []
    assert Path(places.user_key(str(home))).exists()


def test_the_users_public_keys_count_only_where_the_config_says_so(home: Path) -> None:
    (home.parent / ".ssh" / "id.pub").write_text(PUBLIC + "\n")
    alone = keys.connection(str(home), "web", public_keys=False)["authorized_keys"]
    both = keys.connection(str(home), "web", public_keys=True)["authorized_keys"]
    assert isinstance(alone, list) and isinstance(both, list)
    assert both == [*alone, PUBLIC]


def test_only_regular_files_with_public_keys_are_read(home: Path) -> None:
    place = home.parent / ".ssh"
    (place / "dotfiles").write_text(PUBLIC)
    (place / "link.pub").symlink_to("dotfiles")
    os.mkfifo(place / "fifo.pub")
    (place / "dir.pub").mkdir()
    (place / "secret.pub").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n")
    (place / "both.pub").write_text(PUBLIC + "\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n")
    (place / "long.pub").write_text(PUBLIC + "x" * keys.MAX_LINE_BYTES)
    (place / "gone.pub").symlink_to("nowhere")
    (place / "notes.txt").write_text(PUBLIC)
    assert keys.own_keys() == [PUBLIC]


def test_all_keys_together_fit_into_a_frame(home: Path) -> None:
    long = PUBLIC + " " + "x" * 15_000
    for number in range(keys.MAX_KEYS):
        (home.parent / ".ssh" / f"{number}.pub").write_text(long)
    found = keys.connection(str(home), "web", public_keys=True)["authorized_keys"]
    assert isinstance(found, list)
    assert len(found) > 30 and sum(map(len, found)) <= 512 << 10
    assert "gaovm" in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 not-base64 x",
        "ssh-rsa " + PUBLIC.split()[1],  # another kind than it says
        'command="sh" ' + PUBLIC,
        PUBLIC + "\x07",
        "ssh-ed25519-cert-v01@openssh.com AAAA x",
    ],
)
def test_what_is_no_plain_public_key_is_left_out(line: str) -> None:
    assert keys.public_key(line) is None


def test_without_ssh_keygen_the_remedy_says_what_to_install(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(errors.ProgramMissing) as caught:
        keys.ensure(str(home), "web")
    assert "openssh-client" in (caught.value.remedy or "")
