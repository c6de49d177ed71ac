#!/bin/sh
# bundle.sh ARCH: writes dist/ghostroll-<version>-<ARCH>.tar.gz, which installs without network and compiler.
# ARCH is amd64 or arm64. The wheels are those of uv.lock, checked by hash, for each Python that the target may have.
set -eu
arch=$1
# 3.11: Debian and Raspberry Pi OS bookworm; 3.13: trixie.
PYTHONS=${PYTHONS:-3.11 3.13}
# Pure Python without a wheel on the index: the wheel is built here.
SOURCE_ONLY=sdnotify
# Used on the target, where the system's pip may be missing.
PIP=pip==25.3
# The minor version of bookworm's glibc; wheels for older versions work as well (PEP 600).
GLIBC_MINOR=36
case $arch in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *) echo "usage: $0 amd64|arm64" >&2 && exit 64 ;;
esac
cd "${0%/*}/.."
bin=$PWD/.venv/bin
version=$("$bin/python" -c 'import ghostroll; print(ghostroll.__version__)')
name=ghostroll-$version-$arch
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/$name
mkdir -p "$bundle/wheels" dist

platforms() {
    minor=5
    while [ $minor -le $GLIBC_MINOR ]; do
        printf -- '--platform manylinux_2_%s_%s ' "$minor" "$machine"
        minor=$((minor + 1))
    done
    printf -- '--platform manylinux2014_%s --platform manylinux2010_%s --platform manylinux1_%s' \
        "$machine" "$machine" "$machine"
}

# spidev has no wheels: it is installed by apt (install.sh prints how).
"$bin/uv" export --quiet --locked --no-dev --extra display --prune spidev --no-emit-project --no-annotate --no-header \
    --output-file "$work/locked.txt"
for python in $PYTHONS; do
    # Select the packages for the target: pip would evaluate markers for this machine.
    "$bin/uv" pip compile --quiet --no-deps --generate-hashes --no-annotate --no-header --python-version "$python" \
        --python-platform "$machine-manylinux_2_$GLIBC_MINOR" --output-file "$work/hashed.txt" "$work/locked.txt"
    # The hashes of an entry follow in indented lines.
    sed "/^$SOURCE_ONLY==/,/^[^ ]/{/^$SOURCE_ONLY==/d;/^ /d}" "$work/hashed.txt" >"$work/wheels.txt"
    sed -n "/^$SOURCE_ONLY==/,/^[^ ]/{/^$SOURCE_ONLY==/p;/^ /p}" "$work/hashed.txt" >"$work/sources.txt"
    # shellcheck disable=SC2046 # a list of words
    "$bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
        --implementation cp --python-version "$python" $(platforms) \
        --requirement "$work/wheels.txt" --dest "$bundle/wheels"
    grep -o '^[^ ;]*==[^ ;]*' "$work/hashed.txt" >"$bundle/requirements-$python.txt"
done
"$bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --require-hashes --no-binary :all: \
    --requirement "$work/sources.txt" --wheel-dir "$bundle/wheels"
"$bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$bundle/wheels" $PIP
"$bin/uv" build --quiet --wheel --out-dir "$work/own"
cp "$work/own"/*.whl "$bundle/wheels/"

cp -r systemd udev "$bundle/"
mkdir "$bundle/libexec"
cp deploy/libexec/* "$bundle/libexec/"
cp deploy/install.sh deploy/uninstall.sh deploy/ghostroll deploy/ghostroll-first-boot.sh deploy/ghostroll.toml \
    deploy/iam-policy.json README.md LICENSE "$bundle/"
echo "$version" >"$bundle/VERSION"
echo "$arch" >"$bundle/ARCH"
# An id of the content: two bundles with the same content install as the same version.
(cd "$bundle" && find . -type f ! -name BUILD -exec sha256sum {} + | LC_ALL=C sort -k 2 | sha256sum | cut -c1-12) >"$bundle/BUILD"

tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" \
    --directory="$work" "$name" | gzip -n -6 >"$work/out"
mv "$work/out" "dist/$name.tar.gz"
echo "dist/$name.tar.gz: $(($(stat -c %s "dist/$name.tar.gz") / 1000000)) MB, for Python $PYTHONS."
