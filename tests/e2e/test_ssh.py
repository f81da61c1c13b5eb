"""The user's own OpenSSH, scp, sftp, rsync and git against a real guest, by the alias of its VM."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.world import LIGHT, World, make_world

#: No network, a user who is not root, and an agent that is forwarded.
CONFIG = (
    LIGHT
    + """\
user: {name: dev, uid: 1000, home: /home/dev}
env: {GREETING: 'it "is" \\ me'}
ssh: {loadDotSSHPubKeys: true, forwardAgent: true}
"""
)


class Ssh:
    """OpenSSH with a config of the test's HOME."""

    def __init__(self, world: World, user: Path) -> None:
        self.world = world
        self.config = user / ".ssh" / "config"
        self.host = "gaovm-ssh-dev"

    def __call__(
        self,
        *args: str,
        stdin: bytes = b"",
        check: int | None = 0,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        return self.run("ssh", "-F", str(self.config), *args, stdin=stdin, check=check, env=env)

    def run(
        self,
        *argv: str,
        stdin: bytes = b"",
        check: int | None = 0,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            timeout=120,
            env=self.environment(env),
            cwd=cwd,
            check=False,
        )
        if check is not None:
            assert done.returncode == check, (argv, done.stdout, done.stderr)
        return done

    def environment(self, env: dict[str, str] | None = None) -> dict[str, str]:
        program = f"ssh -F {self.config}"
        return {**self.world.environment(), "GIT_SSH_COMMAND": program, **(env or {})}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[tuple[World, Path]]:
    """Boot one VM for all tests here; its user's HOME is a directory of the test."""
    base = tmp_path_factory.mktemp("ssh")
    world = make_world(base, images if images.exists() else None)
    user = base / "user"
    (user / ".ssh").mkdir(parents=True, mode=0o700)
    key = user / ".ssh" / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    cache = os.environ.get("GAOVM_CACHE") or str(Path.home() / ".cache" / "gaovm")
    world.env |= {"HOME": str(user), "GAOVM_CACHE": cache}
    project = world.project("ssh", CONFIG)
    world.run("up", "--yes", "--wait=agent", cwd=project, timeout=1200)
    yield world, project
    world.stop()


@pytest.fixture(scope="module")
def ssh(place: tuple[World, Path]) -> Ssh:
    """Write the alias; the guest's agent has answered, and its distribution still boots."""
    world, project = place
    world.run("ssh-config", "--write", cwd=project)
    return Ssh(world, Path(world.env["HOME"]))


def test_a_command_has_its_status_streams_and_the_guests_environment(
    ssh: Ssh, place: tuple[World, Path]
) -> None:
    world, project = place
    done = ssh(ssh.host, "echo out; echo err >&2; exit 42", check=42)
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    wanted = 'id -un; echo "$GREETING"; echo "$HOME $XDG_RUNTIME_DIR $LANG"; pwd'
    said = ssh(ssh.host, wanted).stdout.decode().splitlines()
    assert said == ["dev", 'it "is" \\ me', "/home/dev /run/user/1000 C.UTF-8", "/home/dev"]
    assert ssh("-l", "root", ssh.host, "id -un").stdout == b"root\n"
    assert world.run("ssh", "--", "echo", "hello", cwd=project).stdout == b"hello\n"
    world.run("ssh", "--", "exit", "3", cwd=project, check=3)


def test_bytes_are_clean_and_large(ssh: Ssh) -> None:
    data = os.urandom(4 << 20)
    assert ssh("-T", ssh.host, "cat", stdin=data).stdout == data


def test_nothing_listens_and_no_secret_is_in_an_argument_or_a_log(
    ssh: Ssh, place: tuple[World, Path]
) -> None:
    world, project = place
    listening = ssh(ssh.host, "cat /proc/net/tcp /proc/net/tcp6").stdout.decode()
    assert ":0016 " not in listening
    argv = world.run(
        "exec", "--user", "root", "--", "sh", "-c", "cat /proc/[0-9]*/cmdline", cwd=project
    )
    private = (world.home / "ssh" / "hosts" / "ssh-dev").read_text().splitlines()[1]
    assert private.encode() not in argv.stdout
    assert all(private not in log.read_text(errors="replace") for log in world.home.rglob("*.log*"))
    modes = ssh("-l", "root", ssh.host, "stat -c '%a %U' /run/gaovm/ssh/*").stdout.decode()
    assert modes.splitlines() == ["644 root", "600 root", "600 root"]


def test_a_strange_host_key_is_refused(ssh: Ssh, tmp_path: Path) -> None:
    known = tmp_path / "known"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True
    )
    known.write_text(f"{ssh.host} {(tmp_path / 'k.pub').read_text()}")
    done = ssh("-o", f"UserKnownHostsFile={known}", ssh.host, "true", check=255)
    assert b"REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_the_users_own_key_and_the_guests_own_list_log_in_too(ssh: Ssh, tmp_path: Path) -> None:
    own = Path(ssh.world.env["HOME"]) / ".ssh" / "id_ed25519"
    assert ssh("-o", f"IdentityFile={own}", "-o", "IdentitiesOnly=yes", "-F", "none",
               *_bare(ssh), ssh.host, "echo in").stdout == b"in\n"  # fmt: skip
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    words = ["-F", "none", "-o", f"IdentityFile={other}", "-o", "IdentitiesOnly=yes", *_bare(ssh)]
    refused = ssh.run("ssh", *words, ssh.host, "true", check=255)
    assert b"Permission denied" in refused.stderr
    ssh(ssh.host, "mkdir -p -m 700 .ssh; cat > .ssh/authorized_keys",
        stdin=other.with_suffix(".pub").read_bytes())  # fmt: skip
    assert ssh.run("ssh", *words, ssh.host, "echo in").stdout == b"in\n"


def _bare(ssh: Ssh) -> list[str]:
    """Return the options of the alias but its key, as a user's own config would have them."""
    world = ssh.world
    proxy = f"{' '.join(world.command)} ssh-proxy ssh-dev"  # without the socket: it relays
    known = world.home / "ssh" / "hosts" / "ssh-dev.known_hosts"
    return ["-l", "dev", "-o", f"ProxyCommand={proxy}", "-o", f"UserKnownHostsFile={known}"]


def test_scp_sftp_and_rsync(ssh: Ssh, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "a b").write_bytes(os.urandom(300_000))
    (tree / "deep" / "run").write_text("#!/bin/sh\necho ran\n")
    (tree / "deep" / "run").chmod(0o755)
    options = ["-F", str(ssh.config)]
    ssh.run("scp", "-q", "-r", *options, str(tree), f"{ssh.host}:by-scp")
    ssh.run("scp", "-q", "-r", *options, f"{ssh.host}:by-scp", str(tmp_path / "back"))
    assert (tmp_path / "back" / "a b").read_bytes() == (tree / "a b").read_bytes()
    assert ssh(ssh.host, "by-scp/deep/run").stdout == b"ran\n"
    batch = f"put '{tree / 'a b'}' by-sftp\nget by-sftp {tmp_path / 'got'}\nls -l by-sftp\n"
    ssh.run("sftp", "-q", *options, "-b", "-", ssh.host, stdin=batch.encode())
    assert (tmp_path / "got").read_bytes() == (tree / "a b").read_bytes()
    (tree / "deep" / "run").unlink()
    rsync = ["rsync", "-a", "--delete", "-e", f"ssh -F {ssh.config}"]
    ssh.run(*rsync, f"{tree}/", f"{ssh.host}:by-scp/")
    assert ssh(ssh.host, "cd by-scp && find -type f").stdout == b"./a b\n"
    ssh.run(*rsync, f"{ssh.host}:by-scp/", str(tmp_path / "synced"))
    assert (tmp_path / "synced" / "a b").read_bytes() == (tree / "a b").read_bytes()


def test_git_clones_and_pushes(ssh: Ssh, tmp_path: Path) -> None:
    ssh(ssh.host, "git init -q --bare -b main project.git")
    work = tmp_path / "work"
    ssh.run("git", "clone", "-q", f"{ssh.host}:project.git", str(work))
    (work / "file").write_text("hello\n")
    commit = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "one"]
    for words in (["checkout", "-q", "-B", "main"], ["add", "file"], commit):
        ssh.run("git", *words, cwd=work)
    ssh.run("git", "push", "-q", "origin", "main", cwd=work)
    ssh.run("git", "clone", "-q", f"ssh://{ssh.host}/home/dev/project.git", str(tmp_path / "again"))
    assert (tmp_path / "again" / "file").read_text() == "hello\n"


def test_the_agent_is_forwarded_because_the_config_was_approved(ssh: Ssh, tmp_path: Path) -> None:
    key = Path(ssh.world.env["HOME"]) / ".ssh" / "id_ed25519"
    path = str(tmp_path / "agent")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    try:
        assert agent.stdout is not None
        agent.stdout.readline()
        env = {"SSH_AUTH_SOCK": path}
        ssh.run("ssh-add", "-q", str(key), env=env)
        listed = ssh(ssh.host, "ssh-add -L", env=env).stdout.decode()
        assert listed.split()[1] == key.with_suffix(".pub").read_text().split()[1]
        none = ssh("-o", "ForwardAgent=no", ssh.host, "ssh-add -L", env=env, check=2)
        assert none.stdout == b""
    finally:
        agent.terminate()
        agent.communicate()


@contextlib.contextmanager
def master(ssh: Ssh, *options: str) -> Iterator[list[str]]:
    """Hold one connection that others share; yields the options that share it."""
    # not below the test's directory: the path of a socket holds 107 bytes
    base = Path(os.environ.get("TMPDIR", "/tmp")) / f"gs{os.getpid()}"
    base.mkdir(mode=0o700)
    shared = ["-o", f"ControlPath={base}/m"]
    try:
        ssh("-M", "-N", "-f", "-o", "ControlPersist=yes", *shared, *options, ssh.host)
        yield shared
    finally:
        ssh(*shared, "-O", "exit", ssh.host, check=None)
        shutil.rmtree(base, ignore_errors=True)


def test_a_script_over_standard_input_and_sessions_on_one_connection(ssh: Ssh) -> None:
    """As VS Code's Remote-SSH does it."""
    script = b"uname -s\necho $0 $#\nexit 5\n"
    with master(ssh) as shared:
        said = ssh("-T", *shared, ssh.host, "bash", "-s", "--", "one", stdin=script, check=5)
        assert said.stdout == b"Linux\nbash 1\n"
        began = [
            subprocess.Popen(
                ["ssh", "-F", str(ssh.config), *shared, ssh.host, f"cat; echo {number}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=ssh.environment(),
            )
            for number in range(8)
        ]
        for number, child in enumerate(began):
            out, _ = child.communicate(f"in{number} ".encode(), timeout=60)
            assert out == f"in{number} {number}\n".encode()


#: A server in the guest: gives back what it got, once the client has ended its direction.
SERVER = r"""
use IO::Socket::INET; use IO::Socket::UNIX;
my $place = shift; $| = 1;
my $server = $place eq "tcp"
    ? IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", LocalPort => 0)
    : IO::Socket::UNIX->new(Listen => 5, Local => $place);
print $place eq "tcp" ? $server->sockport : "ready", "\n";
while (my $client = $server->accept) {
    my $data = join "", <$client>;
    print $client scalar reverse $data;
    close $client;
}
"""


@contextlib.contextmanager
def server(ssh: Ssh, shared: list[str], place: str) -> Iterator[str]:
    """Run the server in the guest; yields the port, or ``ready``."""
    argv = ["ssh", "-F", str(ssh.config), *shared, "-tt", ssh.host, "perl", "serve.pl", place]
    ssh(*shared, ssh.host, "cat > serve.pl", stdin=SERVER.encode())
    child = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ssh.environment(),
    )
    try:
        assert child.stdout is not None
        yield child.stdout.readline().decode().strip()
    finally:
        child.terminate()  # the terminal hangs up, and the server ends
        child.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def reversed_by(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
    got = b""
    while block := sock.recv(65536):
        got += block
    return got


def forward(ssh: Ssh, shared: list[str], *words: str) -> None:
    """Ask the master for a forward, as Remote-SSH does while it runs."""
    ssh(*shared, "-O", "forward", *words, ssh.host)


def test_forwards_of_tcp_sockets_and_socks(ssh: Ssh) -> None:
    data = os.urandom(100_000)
    with master(ssh) as shared:
        base = Path(shared[1].partition("=")[2]).parent
        with server(ssh, shared, "tcp") as port:
            local, socks = free_port(), free_port()
            forward(ssh, shared, "-L", f"127.0.0.1:{local}:127.0.0.1:{port}")
            with socket.create_connection(("127.0.0.1", local)) as sock:
                assert reversed_by(sock, data) == data[::-1]
            forward(ssh, shared, "-L", f"{base}/to-tcp:127.0.0.1:{port}")
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(f"{base}/to-tcp")
                assert reversed_by(sock, data) == data[::-1]
            forward(ssh, shared, "-D", f"127.0.0.1:{socks}")
            with socket.create_connection(("127.0.0.1", socks)) as sock:
                sock.sendall(b"\5\1\0")
                assert sock.recv(2) == b"\5\0"
                sock.sendall(b"\5\1\0\1\x7f\0\0\1" + int(port).to_bytes(2, "big"))
                assert sock.recv(10)[:2] == b"\5\0"
                assert reversed_by(sock, data) == data[::-1]
        with server(ssh, shared, "/home/dev/unix") as word:
            assert word == "ready"
            forward(ssh, shared, "-L", f"{base}/to-unix:/home/dev/unix")
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(f"{base}/to-unix")
                assert reversed_by(sock, data) == data[::-1]


def test_a_guest_whose_network_is_down_is_reached(ssh: Ssh, place: tuple[World, Path]) -> None:
    world, project = place
    down = ["exec", "--user", "root", "--", "ip", "link", "set", "eth0"]
    world.run(*down, "down", cwd=project)
    try:
        assert ssh(ssh.host, "cat /sys/class/net/eth0/operstate").stdout == b"down\n"
    finally:
        world.run(*down, "up", cwd=project)


def test_a_program_outlives_its_connection(ssh: Ssh) -> None:
    """The server of an editor does."""
    ssh(ssh.host, "setsid -f sh -c 'mkfifo left; echo on > left' > /dev/null 2>&1 < /dev/null")
    assert ssh(ssh.host, "cat left; rm left").stdout == b"on\n"


def test_the_sshd_of_a_broken_connection_ends(ssh: Ssh) -> None:
    argv = ["ssh", "-F", str(ssh.config), ssh.host, "echo $PPID; exec cat"]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    sshd = int(child.stdout.readline())
    child.kill()
    child.communicate()
    ssh(ssh.host, f"timeout 60 tail --pid={sshd} -f /dev/null")


def test_a_guest_without_sshd_is_told_plainly_and_destroy_takes_the_alias_along(
    ssh: Ssh, place: tuple[World, Path]
) -> None:
    world, project = place
    world.run("exec", "--user", "root", "--", "mv", "/usr/sbin/sshd", "/root/", cwd=project)
    done = ssh(ssh.host, "true", check=255)
    assert b"has no sshd" in done.stderr and b"apt-get install openssh-server" in done.stderr
    ours = ssh.config.with_name("gaovm.config")
    assert "Host gaovm-ssh-dev\n" in ours.read_text()
    world.run("destroy", "-y", cwd=project)
    assert not ours.exists() and "Include" not in ssh.config.read_text()
    assert not list((world.home / "ssh" / "hosts").iterdir())
