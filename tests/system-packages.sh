#!/bin/sh
# The programs that tests compare with and open pages in. Installed where that is possible without a question;
# a test whose program is missing says so and is skipped.
set -eu

packages=""
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need chromium chromium
need exiftool libimage-exiftool-perl
need djpeg libjpeg-turbo-progs
need openssl openssl
need zbarimg zbar-tools
need gcc "gcc libc6-dev"
need systemd-analyze systemd
need faketime faketime
if [ "$(id -u)" -eq 0 ]; then # who else may mount a disk or a card
    need mkfs.ext4 e2fsprogs
    need mkfs.xfs xfsprogs
    need fusermount3 fuse3
fi
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "Some tests will be skipped; their programs are in:$packages" >&2
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    run=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    run="sudo -n"
else
    echo "Some tests will be skipped. To run them: sudo apt-get install$packages" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # both are lists of words
$run apt-get update -qq && $run apt-get install -y -qq --no-install-recommends $packages >/dev/null
