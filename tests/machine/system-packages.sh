#!/bin/sh
# The programs that build and run the machine of the appliance tests, installed where they are missing (Debian, root).
set -eu

packages=""
need() { command -v "$1" > /dev/null 2>&1 || packages="$packages $2"; }
PATH=$PATH:/usr/sbin:/sbin
need qemu-system-x86_64 qemu-system-x86
need qemu-img qemu-utils
need mmdebstrap mmdebstrap
need mke2fs e2fsprogs
need mkfs.vfat dosfstools
need mkfs.exfat exfatprogs
need mcopy mtools
need sfdisk fdisk
need busybox busybox-static
need cpio cpio
need modprobe kmod
need xz xz-utils
need strip binutils
need ssh openssh-client
need make make
need gcc-12 gcc-12
need bc bc
need systemctl systemd
# What Debian's prebuilt tools for kernel modules are linked with.
ldconfig -p | grep -q 'libelf\.so\.1 ' || packages="$packages libelf1"
[ -n "$packages" ] || exit 0

if ! command -v apt-get > /dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    echo "The appliance tests need, beside what is here:$packages" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages > /dev/null
