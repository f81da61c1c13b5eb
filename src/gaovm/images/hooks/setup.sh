#!/bin/sh
# mmdebstrap --setup-hook: brings cached packages and foreign keyrings into the still empty root.
# usage: setup.sh ROOT CACHE_DIR KEYRING...
set -eu
umask 022
root=$1 cache=$2
shift 2
mkdir -p "$root/var/cache/apt/archives/partial"
for deb in "$cache"/*.deb; do
    if [ -f "$deb" ]; then cp "$deb" "$root/var/cache/apt/archives/"; fi
done
for keyring in "$@"; do
    mkdir -p "$root$(dirname "$keyring")"
    cp "$keyring" "$root$keyring"
done
