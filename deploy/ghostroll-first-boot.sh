#!/bin/sh
# Installs GhostRoll on a fresh Raspberry Pi. It lies on the boot partition beside the bundle, and the one line of
# cmdline.txt ends with what calls it at the first boot (systemd-run-generator(8)); README has it. There it only makes
# sure that the installation comes about: that runs at the next boot, as an ordinary unit, and again at each one until
# it has succeeded, whatever happens to the power. What it says is in ghostroll-first-boot.log beside it.
set -eu
boot=$(cd -P "${0%/*}" && pwd)
log=$boot/ghostroll-first-boot.log
# Not one of ghostroll*: install.sh takes those for its own.
UNIT=install-ghostroll.service
PLACE=/var/lib/ghostroll-first-boot

say() { echo "$(date '+%F %T') $*"; }

arrange() {
    cat >"/etc/systemd/system/$UNIT" <<EOF_UNIT
[Unit]
Description=GhostRoll's installation
ConditionPathExists=$boot/ghostroll-first-boot.sh
RequiresMountsFor=$boot
# For what the doctor looks at in the end; nothing is downloaded.
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
    # Now this boot is not needed again. By a rename: without this file a Pi does not boot.
    sed 's| systemd\.run=[^ ]*ghostroll-first-boot\.sh||g; s| systemd\.run_success_action=reboot||g
        s| systemd\.unit=kernel-command-line\.target||g' "$boot/cmdline.txt" >"$boot/cmdline.new"
    sync -f "$boot/cmdline.new"
    mv "$boot/cmdline.new" "$boot/cmdline.txt"
    sync -f "$boot/cmdline.txt"
    say "The installation begins at the next boot, which is now."
}

give_up() {
    say "It did not succeed, and is tried again at the next start. What lies here stays here, keys as well."
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
    # Without the script it does not run again. Its file stays: systemd ends what it has no file of any more.
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
