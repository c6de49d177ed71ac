#!/bin/bash
# Build the machine that the appliance tests run in: a small Debian with its own kernel, as close to Raspberry Pi OS
# Lite as a PC comes, ssh for the tests, and the kernel's simulated GPIO lines.
#   build.sh DIRECTORY      writes disk.qcow2, vmlinuz, initrd.gz and id_ed25519 there. As root, on Debian 12.
#   PYTHON                  one that has pip
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath "$1")
suite=bookworm
mirror=http://deb.debian.org/debian
work=$(mktemp -d "$out/work.XXXXXX")
root=$work/root
trap 'rm -rf "$work"' EXIT
started=$SECONDS

say() { echo "[$((SECONDS - started)) s] $*"; }

debian() {
    # shellcheck disable=SC2016 # mmdebstrap gives the hook its $1
    mmdebstrap --quiet --variant=minbase --mode=root --format=directory \
        --include="$(paste -sd, "$here/packages")" \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='force-unsafe-io' \
        --customize-hook='chroot "$1" sh -es < '"$here/download-kernel" \
        "$suite" "$root" \
        "deb $mirror $suite main" "deb $mirror $suite-updates main" \
        "deb ${mirror}-security $suite-security main"
    mv "$root/var/cache/kernel" "$work/kernel"
}

# The packages are taken apart, not installed: that saves their own slow initramfs.
kernel() {
    local package
    for package in "$work"/kernel/linux-image-*.deb; do dpkg-deb -x "$package" "$work/image"; done
    for package in "$work"/kernel/linux-{headers,kbuild}-*.deb; do dpkg-deb -x "$package" "$work/headers"; done
    version=$(cat "$work/kernel/version")
    cp "$work/image/boot/vmlinuz-$version" "$out/vmlinuz"
}

# Debian builds its kernels without GPIO_SIM and IRQ_SIM: one module is made of both.
gpio_sim() {
    local source
    source=linux-source-$(cat "$work/kernel/series")
    mkdir "$work/gpio"
    dpkg-deb --fsys-tarfile "$work"/kernel/linux-source-*.deb | tar xO "./usr/src/$source.tar.xz" |
        tar xJ -C "$work/gpio" --strip-components=1 --wildcards \
            "$source/drivers/gpio/gpio-sim.c" "$source/drivers/gpio/*.h" "$source/kernel/irq/irq_sim.c"
    cp "$work"/gpio/drivers/gpio/*.h "$work/gpio/"
    cp "$work/gpio/drivers/gpio/gpio-sim.c" "$work/gpio/gpio_sim_main.c"
    # Modules may not use irq_to_desc(); generic_handle_irq() does the same in interrupt context, where irq_work runs.
    sed -e 's/handle_simple_irq(irq_to_desc(irqnum));/generic_handle_irq(irqnum);/' -e '/^EXPORT_SYMBOL_GPL/d' \
        "$work/gpio/kernel/irq/irq_sim.c" > "$work/gpio/irq_sim.c"
    printf 'obj-m := gpio-sim.o\ngpio-sim-y := gpio_sim_main.o irq_sim.o\n' > "$work/gpio/Makefile"
    at_home_in "$work/headers"
    make -s -C "$work/headers/usr/src/linux-headers-$version" M="$work/gpio" CC=gcc-12 KBUILD_MODPOST_WARN=1 modules
    strip --strip-debug "$work/gpio/gpio-sim.ko"
}

# Debian's headers name each other by absolute paths.
at_home_in() {
    grep -rlE '/usr/(src/linux-headers|lib/linux-kbuild)-' "$1/usr/src" --include=Makefile --include='*.mk' |
        xargs -r sed -i -E "s#(^|[^[:alnum:]])/usr/(src/linux-headers|lib/linux-kbuild)-#\1$1/usr/\2-#g"
    find "$1/usr/src" -type l -lname '/usr/*' -printf '%p\t%l\n' |
        while IFS=$'\t' read -r link target; do ln -sfn "$1$target" "$link"; done
}

# Only what the tests need, and what that depends on.
modules() {
    local from=$work/image/lib/modules/$version to=$root/usr/lib/modules/$version
    depmod -b "$work/image" "$version"
    mkdir -p "$to/extra"
    cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/"
    xargs modprobe -a -D -d "$work/image" -S "$version" < "$here/modules" | awk '/^insmod/ {print $2}' | sort -u |
        while read -r module; do install -D -m 644 "$module" "$to/${module#"$from/"}"; done
    install -m 644 "$work/gpio/gpio-sim.ko" "$to/extra/"
    depmod -b "$root/usr" "$version" 2> /dev/null || depmod -b "$root" "$version"
}

guest() {
    cp -r --no-preserve=ownership "$here/guest/." "$root/"
    echo ghostroll > "$root/etc/hostname"
    printf '127.0.0.1 localhost ghostroll\n' > "$root/etc/hosts"
    printf '%032x\n' 0x67686f7374 > "$root/etc/machine-id" # a fixed one: no boot is the first
    rm -f "$root/etc/resolv.conf" "$root"/etc/ssh/ssh_host_*
    ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/ssh_host_ed25519_key"
    ssh-keygen -q -t ed25519 -N '' -C appliance-tests -f "$out/id_ed25519"
    install -D -m 600 "$out/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
    chmod 700 "$root/root/.ssh"
    mkdir -p "$root/boot/firmware" # a Pi's boot partition
    touch "$root/etc/.updated" "$root/var/.updated"
    systemctl --root="$root" --quiet enable systemd-networkd ssh pretend-pi.service systemd-timesyncd
    systemctl --root="$root" --quiet mask getty@tty1.service serial-getty@ttyS0.service console-getty.service \
        systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
        e2scrub_all.timer fstrim.timer systemd-pstore.service ldconfig.service
    systemctl --root="$root" --quiet set-default multi-user.target
}

# Raspberry Pi OS has these from its own packages; Debian's lgpio came after bookworm.
gpio_libraries() {
    "${PYTHON:-python3}" -m pip --quiet --disable-pip-version-check download --dest "$work/wheels" --only-binary=:all: \
        --python-version 3.11 --platform manylinux_2_34_x86_64 --platform manylinux2014_x86_64 --platform any \
        'gpiozero>=2' 'lgpio>=0.2.2.0'
    local wheel
    for wheel in "$work"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$root/usr/lib/python3/dist-packages"
    done
}

initrd() {
    local tree=$work/initrd module name
    mkdir -p "$tree"/{bin,dev,proc,sys,root,modules}
    cp /bin/busybox "$tree/bin/"
    install -m 755 "$here/init" "$tree/init"
    modprobe -a -D -d "$work/image" -S "$version" virtio_pci virtio_blk crc32c_generic ext4 | awk '/^insmod/ {print $2}' |
        awk '!seen[$0]++' |
        while read -r module; do
            name=$(basename "$module" .xz)
            case $module in
            *.xz) xz -dc "$module" > "$tree/modules/$name" ;;
            *) cp "$module" "$tree/modules/$name" ;;
            esac
            strip --strip-debug "$tree/modules/$name"
            echo "$name" >> "$tree/modules/order"
        done
    (cd "$tree" && find . | cpio -o -H newc --quiet | gzip -1) > "$out/initrd.gz"
}

disk() {
    mke2fs -q -t ext4 -F -L rootfs -E lazy_itable_init=0,lazy_journal_init=0 -d "$root" "$work/disk.raw" 6G
    qemu-img convert -O qcow2 "$work/disk.raw" "$out/disk.qcow2"
}

debian
say "Debian $suite: $(du -sh "$root" | cut -f1)"
kernel
say "kernel $version"
gpio_sim
say "gpio-sim compiled"
modules
guest
gpio_libraries
say "guest configured"
initrd
disk
say "image: $(du -h "$out/disk.qcow2" | cut -f1)"
