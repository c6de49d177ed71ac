#!/bin/sh
# uninstall.sh [--purge]: removes GhostRoll; with --purge, also photos, catalog and configuration.
# Run as root, without questions, any number of times.
set -eu

say() { echo "GhostRoll: $*"; }

purge=
case ${1-} in
    --purge) purge=yes ;;
    '') ;;
    *) say "usage: $0 [--purge]" >&2 && exit 64 ;;
esac
[ "$(id -u)" -eq 0 ] || { say "run me as root: sudo $0" >&2 && exit 1; }

# First, so that no card starts a run.
rm -f /etc/udev/rules.d/90-ghostroll.rules
udevadm control --reload
systemctl stop 'ghostroll*' 2>/dev/null || true
for unit in /etc/systemd/system/ghostroll* /etc/systemd/system/install-ghostroll.service; do
    [ -f "$unit" ] || continue # directories with an owner's drop-ins stay
    case ${unit##*/} in
        *@*) ;;
        *) systemctl disable --quiet "${unit##*/}" 2>/dev/null || true ;;
    esac
    rm -f "$unit"
done
systemctl daemon-reload
systemctl reset-failed 'ghostroll*' 2>/dev/null || true

for file in /boot/firmware/config.txt /boot/config.txt; do
    [ ! -f "$file" ] || [ ! -x /opt/ghostroll/libexec/enable-panel ] || /opt/ghostroll/libexec/enable-panel off "$file"
done
rm -rf --one-file-system /opt/ghostroll /usr/local/bin/ghostroll /run/ghostroll
rm -f /etc/tmpfiles.d/ghostroll.conf /etc/modules-load.d/ghostroll.conf

if [ -n "$purge" ]; then
    rm -rf /var/lib/ghostroll /etc/ghostroll
    rm -f /etc/sysusers.d/ghostroll.conf
    if id ghostroll >/dev/null 2>&1; then userdel ghostroll; fi
    say "removed, with all photos and the configuration."
else
    say "removed. What stays: /var/lib/ghostroll (photos and catalog), /etc/ghostroll, and the user ghostroll who owns them."
fi
