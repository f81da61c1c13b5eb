#!/bin/sh
# mmdebstrap --customize-hook: unpacks the kernel, then makes the root a guest that boots quickly.
# usage: customize.sh ROOT KERNEL_METAPACKAGE OUT_DIR CACHE_DIR EXCLUDES_FILE GUEST_APT_CONF
# The kernel package is unpacked, not installed: the host boots it, so in the guest it would only bring
# initramfs-tools along and be "upgraded" to one that never runs.
set -eu
umask 022
root=$1 meta=$2 out=$3 cache=$4 excludes=$5 aptconf=$6
archives=$root/var/cache/apt/archives
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"

echo "gaovm: kernel"
package=$(apt-cache depends --important "$meta" | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
[ -n "$package" ] || { echo "gaovm: $meta names no kernel package" >&2; exit 1; }
mkdir -p "$archives"
(cd "$archives" && apt-get -o APT::Sandbox::User=root download "$package") ||
    { echo "gaovm: cannot download $package" >&2; exit 1; }
deb=$(find "$archives" -maxdepth 1 -name "${package}_*.deb" | sort | tail -n 1)
dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --no-same-owner \
    --exclude-from="$excludes" ./boot ./lib/modules
release=${package#linux-image-}
mv "$root/boot/vmlinuz-$release" "$out/vmlinuz"
rm -f "$root/boot/"*
printf '%s\n' "$release" > "$out/kernel-release"
chroot "$root" depmod "$release"

echo "gaovm: guest settings"
# The host gives each VM its name, address and name servers at boot.
rm -f "$root/etc/resolv.conf" "$root/etc/hostname" "$root/etc/apt/apt.conf.d/99mmdebstrap"
printf 'gaovm\n' > "$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"
printf '# The root is mounted by the agent in the initramfs.\n' > "$root/etc/fstab"
printf 'LANG=C.UTF-8\n' > "$root/etc/default/locale"
: > "$root/etc/machine-id"
cat "$aptconf" > "$root/etc/apt/apt.conf.d/90gaovm"

units=$root/etc/systemd/system
# Nobody can log in on a console (no password is set); the shell comes through the agent.
rm -rf "$units/getty.target.wants"
for unit in \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    getty-static.service serial-getty@ttyS0.service serial-getty@ttyAMA0.service \
    serial-getty@hvc0.service systemd-pstore.service systemd-update-utmp-runlevel.service \
    systemd-update-utmp.service systemd-journald-audit.socket modprobe@efi_pstore.service \
    modprobe@drm.service modprobe@dm_mod.service modprobe@loop.service modprobe@fuse.service sys-kernel-config.mount sys-kernel-tracing.mount \
    systemd-hwdb-update.service systemd-rfkill.socket \
    systemd-ask-password-wall.path systemd-ask-password-console.path; do
    ln -sf /dev/null "$units/$unit"
done
mkdir -p "$root/etc/systemd/system-generators" "$root/etc/modprobe.d"
for generator in bless-boot gpt-auto hibernate-resume integritysetup ssh veritysetup; do
    ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
done
# Devices every emulated PC has and no guest of ours uses; loading and probing them costs seconds when emulated.
printf 'blacklist %s\n' ahci i2c_i801 pcspkr psmouse serio_raw > "$root/etc/modprobe.d/gaovm.conf"
# eth0 stays eth0: the agent has configured it before udev starts.
mkdir -p "$root/etc/systemd/network" "$root/etc/systemd/journald.conf.d"
ln -sf /dev/null "$root/etc/systemd/network/99-default.link"
# Commands run before the distribution has booted, and what they put into /tmp must not be swept away then.
mkdir -p "$root/etc/tmpfiles.d"
printf 'd /tmp 1777 root root -\n' > "$root/etc/tmpfiles.d/tmp.conf"
# sshd runs only when the agent starts one for a connection, with a key of that VM. The keys that the package
# has made would be those of every VM; who enables the service gets fresh ones.
rm -f "$root"/etc/ssh/ssh_host_* "$units"/*.wants/ssh.service "$units"/*.wants/ssh.socket "$units/sshd.service"
mkdir -p "$units/ssh.service.d"
printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n' \
    > "$units/ssh.service.d/gaovm.conf"
printf '[Journal]\nSystemMaxUse=64M\n' > "$root/etc/systemd/journald.conf.d/gaovm.conf"

echo "gaovm: packages kept"
mkdir -p "$cache/new"
for deb in "$archives"/*.deb; do
    if [ -f "$deb" ]; then mv "$deb" "$cache/new/"; fi
done
# Makes "is /etc older than /usr" false, so the first boot rebuilds no databases.
touch "$root/etc/.updated" "$root/var/.updated"
