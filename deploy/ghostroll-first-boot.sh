#!/bin/sh
# Installs GhostRoll at a Pi's first boot. It lies on the boot partition beside the bundle, and the one line of
# cmdline.txt ends with what calls it (systemd-run-generator(8)), after a space:
#   systemd.run=/boot/firmware/ghostroll-first-boot.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target
# What it says is in ghostroll-first-boot.log beside it.
set -eu
boot=$(cd -P "${0%/*}" && pwd)
exec >>"$boot/ghostroll-first-boot.log" 2>&1
echo "GhostRoll: first boot."

# First: a boot that fails must not be tried for ever. By a rename: without this file a Pi does not boot.
sed 's| systemd\.run=[^ ]*ghostroll-first-boot\.sh||; s| systemd\.run_success_action=reboot||
    s| systemd\.unit=kernel-command-line\.target||' "$boot/cmdline.txt" >"$boot/cmdline.new"
sync -f "$boot/cmdline.new"
mv "$boot/cmdline.new" "$boot/cmdline.txt"
sync -f "$boot/cmdline.txt"

set -- "$boot"/ghostroll-*.tar.gz
[ $# -eq 1 ] && [ -f "$1" ] || { echo "There must be exactly one bundle, ghostroll-VERSION-arm64.tar.gz." && exit 1; }
place=$(mktemp -d /var/tmp/ghostroll.XXXXXX)
trap 'rm -rf "$place"' EXIT
tar -x -z -C "$place" -f "$1"
# Nothing starts before the reboot.
sh "$place"/ghostroll-*/install.sh --no-start
mv "$boot/ghostroll-first-boot.sh" "$boot/ghostroll-first-boot.sh.done"
sync
