"""``upgradePackages``: bring the guest's packages up to date, by its own package manager."""

from __future__ import annotations

from gaovm.spec.guest import Script

# GaoVM reboots no guest: it says that the guest wants it.
_UPGRADE = """\
#!/bin/sh
export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null; then
  apt-get update && apt-get -y -o Dpkg::Options::=--force-confold dist-upgrade
elif command -v dnf >/dev/null; then dnf -y upgrade
elif command -v yum >/dev/null; then yum -y update
elif command -v zypper >/dev/null; then zypper --non-interactive update
elif command -v apk >/dev/null; then apk update && apk upgrade
elif command -v pacman >/dev/null; then pacman -Syu --noconfirm
else echo "no package manager that GaoVM knows" >&2; exit 1
fi || exit
[ ! -e /var/run/reboot-required ] || echo "the guest asks for a restart"
"""


def upgrade() -> Script:
    """Return the script, which runs as root before all others of the booted guest."""
    return Script(name="upgradePackages", mode="dependency", script=_UPGRADE)
