"""The content of images: pure data, no I/O.

A recipe fixes the content of an image, except for the packages that the mirror has on the day. Its
``key`` is the digest of everything that decides the content, including the hook scripts and
``REVISION``, so a changed recipe never finds an image of the old one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from gaovm.project import images

# Raise it when images must be rebuilt although no list below and no hook script has changed.
REVISION = 3

known = images.known
ARCHES = images.ARCHES
KERNELS = images.KERNELS

# A developer's base system: an init, what the agent needs (sudo, bash), and a few common tools.
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "git",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libnss-myhostname",  # sudo and others look up the host name
    "libpam-systemd",
    "netbase",
    "openssh-server",  # for `gaovm ssh`; it listens nowhere
    "procps",
    "rsync",  # rsync needs itself on both sides
    "sudo",
    "systemd-sysv",
    "udev",
    "vim-tiny",
)

# dpkg leaves these out inside the image, also of packages that are installed later.
DPKG_EXCLUDES = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)

# Modules, below ``kernel/``, of hardware that no VM of ours has. 395 MB become about 100.
_NO_HARDWARE: dict[str, str] = {
    "": "sound",
    "net": "bluetooth mac80211 mac802154 nfc wireless",
    "drivers": (
        "accessibility android atm auxdisplay bluetooth comedi edac extcon firewire greybus hsi"
        " hwmon iio infiniband isdn leds media memstick mfd mmc mtd nfc parport pcmcia platform"
        " pwm regulator slimbus soundwire staging thunderbolt ufs uwb w1"
    ),
    "drivers/gpu/drm": "amd ast gma500 i915 mgag200 nouveau radeon vmwgfx",
    "drivers/net": "arcnet can fddi fjes hamradio ieee802154 plip usb wireless wwan",
    "drivers/net/ethernet": (
        "3com 8390 adaptec agere alacritech alteon amd aquantia asix atheros broadcom brocade"
        " cavium chelsio cisco dec dlink emulex fujitsu fungible huawei marvell mellanox micrel"
        " microchip myricom natsemi neterion netronome nvidia packetengines pensando qlogic"
        " qualcomm rdc sfc silan sis smsc stmicro sun tehuti ti vertexcom via wangxun wiznet"
        " xircom"
    ),
    "drivers/net/ethernet/intel": "fm10k i40e ice igc ixgb ixgbe",
    "drivers/scsi": (
        "aacraid aic7xxx aic94xx arcmsr be2iscsi bfa bnx2fc bnx2i csiostor cxgbi cxlflash elx"
        " esas2r fnic isci lpfc megaraid mpi3mr mpt3sas mvsas pcmcia pm8001 qedf qedi qla2xxx"
        " qla4xxx smartpqi snic sym53c8xx_2"
    ),
    "drivers/usb": "atm dwc2 dwc3 gadget misc musb serial typec",
    "drivers/input": "joystick rmi4 tablet touchscreen",
    "fs": "afs coda dlm gfs2 jffs2 nilfs2 ocfs2 orangefs reiserfs ubifs",
}
MODULE_EXCLUDES = tuple(
    f"*/kernel/{parent}/{name}" if parent else f"*/kernel/{name}"
    for parent, names in _NO_HARDWARE.items()
    for name in names.split()
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A buildable image; ``arch`` is the machine's name (``x86_64``), ``debian_arch`` Debian's."""

    name: str
    suite: str
    arch: str
    debian_arch: str
    kernel: str
    kernel_package: str
    packages: tuple[str, ...]
    dpkg_options: tuple[str, ...]
    module_excludes: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    variant: str = "minbase"
    revision: int = REVISION

    def key(self, hooks: bytes) -> str:
        """Return the SHA-256 of everything that decides the content, including the hooks' text."""
        text = json.dumps(asdict(self), sort_keys=True).encode()
        return hashlib.sha256(text + b"\0" + hooks).hexdigest()

    def arguments(self) -> list[str]:
        """Return the recipe's arguments for mmdebstrap (without mirror, target and hooks)."""
        return [
            "--mode=root",
            "--format=directory",
            f"--variant={self.variant}",
            f"--architectures={self.debian_arch}",
            f"--components={','.join(self.components)}",
            f"--include={','.join(self.packages)}",
            *(f"--dpkgopt={option}" for option in self.dpkg_options),
        ]


def find(name: str, arch: str, kernel: str = "generic") -> Recipe:
    """Find a recipe by image name, architecture (``x86_64``, ``aarch64``) and kernel flavour.

    Raises: ImageUnknown, which lists the known ones.
    """
    images.check_name(name, arch, kernel)
    debian_arch = ARCHES[arch]
    flavour = debian_arch if kernel == "generic" else f"cloud-{debian_arch}"
    return Recipe(
        name=name,
        suite=images.SUITES[name],
        arch=arch,
        debian_arch=debian_arch,
        kernel=kernel,
        kernel_package=f"linux-image-{flavour}",
        packages=PACKAGES,
        dpkg_options=DPKG_EXCLUDES,
        module_excludes=MODULE_EXCLUDES,
    )
