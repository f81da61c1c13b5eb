"""Time `up` of a stopped VM of an unmodified image to its first command, against bare QEMU.

Both sides boot one image a second time, by UEFI, with cloud-init and one seed each. Ours ends when
`gaovm up --wait=agent && gaovm exec -- true` has ended; bare QEMU when the guest's sshd has sent
its banner, which is the first moment at which a user of bare QEMU can do anything. Needs root and
`ovmf`; the first run of all makes the image, in some minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import measure
from bench.seat import Seat, seat
from tests.e2e import cloud_image

from gaovm.hostfacts import programs
from gaovm.images.seed import iso9660

CONFIG = """\
images:
- location: ./cloud.qcow2
  arch: x86_64
cpus: 1
memory: 512MiB
disk: 4GiB
"""
#: The first boot ends by itself: afterwards cloud-init has only its usual work.
USER_DATA = "#cloud-config\npower_state: {mode: poweroff}\n"
LIMIT_S = 900.0


class Bare:
    """The image in bare QEMU, with the command line that its users write."""

    def __init__(self, base: Path, image: Path) -> None:
        self.base = base
        firmware = programs.uefi()["x86_64"]
        shutil.copyfile(firmware.variables, base / "variables.fd")
        files = {"meta-data": "instance-id: bare\nlocal-hostname: bare\n", "user-data": USER_DATA}
        content = [iso9660.File(name, text.encode()) for name, text in files.items()]
        (base / "seed.iso").write_bytes(iso9660.image("cidata", content))
        backing = ["-b", str(image), "-F", "qcow2", str(base / "disk.qcow2"), "4G"]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing], check=True)
        flash = f"if=pflash,format=raw,unit=0,readonly=on,file={firmware.code}"
        self.argv = [
            *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi"),
            *("-cpu", "max", "-smp", "1", "-m", "512M", "-nodefaults", "-display", "none"),
            *("-drive", flash, "-drive", f"if=pflash,format=raw,unit=1,file={base}/variables.fd"),
            *("-drive", f"if=virtio,format=qcow2,discard=unmap,file={base}/disk.qcow2"),
            *("-drive", f"if=virtio,format=raw,readonly=on,file={base}/seed.iso"),
            *("-device", "virtio-rng-pci", "-serial", f"file:{base}/serial.log"),
        ]

    def first_boot(self) -> None:
        """Boot until the guest powers itself off."""
        network = ["-nic", "user,model=virtio-net-pci"]
        subprocess.run([*self.argv, *network], check=True, timeout=LIMIT_S)

    def boot(self) -> float:
        """Return the seconds from QEMU's start to sshd's banner; what the guest writes is lost."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        network = ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22"]
        began = time.perf_counter()
        with subprocess.Popen([*self.argv, *network, "-snapshot"]) as qemu:
            try:
                while not banner(port):
                    if qemu.poll() is not None or time.perf_counter() - began > LIMIT_S:
                        raise SystemExit(f"no banner: {(self.base / 'serial.log').read_bytes()!r}")
                    time.sleep(0.1)
                return time.perf_counter() - began
            finally:
                qemu.kill()


def banner(port: int) -> bool:
    """Whether sshd answers on a port of the host; QEMU takes the connection in any case."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.settimeout(2)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def ours(place: Seat, project: Path) -> float:
    """Return the seconds from `up` of the stopped VM to the end of a first command."""

    def work() -> None:
        place.run("up", "--wait=agent", cwd=project)
        place.run("exec", "--", "true", cwd=project)

    took = measure.timed(work)
    place.run("up", cwd=project)  # an end in the middle of the boot would spoil the next one
    place.run("stop", cwd=project)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    image = cloud_image.make()
    with seat() as place:
        project = place.project("cloud", CONFIG)
        os.link(image, project / "cloud.qcow2")
        bare_place = place.base / "bare"
        bare_place.mkdir()
        bare = Bare(bare_place, image)
        bare.first_boot()
        first = measure.timed(lambda: place.run("up", "--yes", "--wait=agent", cwd=project))
        place.run("up", cwd=project)
        place.run("stop", cwd=project)
        values = measure.interleaved(
            runs, ours=lambda: ours(place, project), bare=lambda: bare.boot()
        )
        measure.report(
            "unmodified cloud image: up of a stopped VM to exec / bare QEMU to sshd's banner",
            "python bench/cloud.py",
            ours_s=measure.summary(values["ours"]),
            bare_s=measure.summary(values["bare"]),
            ratio=measure.ratio(values["ours"], values["bare"]),
            goal="<= 0.8",
        )
        measure.report(
            "the first up of that image, with the agent's installation, to the agent",
            "python bench/cloud.py",
            first_s=round(first, 1),
        )


if __name__ == "__main__":
    main()
