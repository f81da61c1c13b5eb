#!/bin/sh
# Makes an ext4 file system without a partition table of a finished root.
# usage: pack.sh ROOT OUTPUT; writes OUTPUT (sparse), sized to the content plus slack.
set -eu
umask 022
root=$1 output=$2
content=$(du -s --block-size=4096 "$root" | cut -f 1)
# One eighth for metadata, 64 MiB of journal, 64 MiB to breathe; whole block groups of 128 MiB.
blocks=$(((content + content / 8 + 32768 + 32767) / 32768 * 32768))
# -m 1: one per cent for root; resize: descriptors for growing to 1 TiB while mounted; the itables of a fresh sparse
# file are zero already, so the guest has no lazy initialisation to do.
mke2fs -q -F -t ext4 -b 4096 -I 256 -i 16384 -m 1 -L gaovm-root -J size=64 \
    -E resize=268435456,lazy_itable_init=1,assume_storage_prezeroed=1,root_owner=0:0 -d "$root" "$output" "$blocks"
printf '%s\n' "$content" > "$output.blocks"
