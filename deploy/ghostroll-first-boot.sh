#!/bin/sh
# Installs GhostRoll on a fresh Raspberry Pi. This script is on the boot partition beside the bundle, and parameters at
# the end of cmdline.txt run it at the first boot (systemd-run-generator(8)); the README lists them. It only enables a
# unit that installs the bundle at the next boot, and at every later boot until the installation has succeeded, even
# after a power cut. Its output is in ghostroll-first-boot.log beside it.
set -eu
boot=$(cd -P "${0%/*}" && pwd)
log=$boot/ghostroll-first-boot.log
# The name must not match ghostroll*: install.sh removes such units if they are not in its bundle.
UNIT=install-ghostroll.service
PLACE=/var/lib/ghostroll-first-boot

say() { echo "$(date '+%F %T') $*"; }

arrange() {
    cat >"/etc/systemd/system/$UNIT" <<EOF_UNIT
[Unit]
Description=GhostRoll's installation
ConditionPathExists=$boot/ghostroll-first-boot.sh
RequiresMountsFor=$boot
# Only for the doctor's checks; nothing is downloaded.
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh $boot/ghostroll-first-boot.sh install

[Install]
WantedBy=multi-user.target
EOF_UNIT
    systemctl enable --quiet "$UNIT"
    sync
    # Remove the parameters from cmdline.txt. Atomically: a Pi does not boot without this file.
    sed 's| systemd\.run=[^ ]*ghostroll-first-boot\.sh||g; s| systemd\.run_success_action=reboot||g
        s| systemd\.unit=kernel-command-line\.target||g' "$boot/cmdline.txt" >"$boot/cmdline.new"
    sync -f "$boot/cmdline.new"
    mv "$boot/cmdline.new" "$boot/cmdline.txt"
    sync -f "$boot/cmdline.txt"
    say "The installation begins at the next boot, which is now."
}

give_up() {
    say "The installation failed, and is tried again at the next boot. All files stay here, credentials as well."
}

install_bundle() {
    trap give_up EXIT
    set -- "$boot"/ghostroll-*.tar*
    [ $# -eq 1 ] && [ -f "$1" ] || {
        say "There must be exactly one bundle here, ghostroll-VERSION-arm64.tar.gz."
        exit 1
    }
    say "Installing $1."
    rm -rf "$PLACE"
    mkdir -p "$PLACE"
    tar -x -C "$PLACE" -f "$1"
    before=$(cat "$boot/config.txt" 2>/dev/null || true)
    sh "$PLACE"/ghostroll-*/install.sh
    rm -rf "$PLACE"
    sync
    trap - EXIT
    # Without the script the unit does not start again. Keep the unit's file: systemd would stop the running unit.
    mv "$boot/ghostroll-first-boot.sh" "$boot/ghostroll-first-boot.sh.done"
    systemctl disable --quiet "$UNIT"
    if [ "$before" = "$(cat "$boot/config.txt" 2>/dev/null || true)" ]; then
        say "Done."
    else
        say "Done. Starting again, for the panel."
        systemctl --no-block reboot
    fi
    sync
}

exec >>"$log" 2>&1
case ${1-} in
    install) install_bundle ;;
    *) arrange ;;
esac
