#!/bin/sh
# release.sh VERSION: commits the version and its CHANGELOG section, writes the bundles and SHA256SUMS to dist/, and tags.
# All or nothing: after a failure the branch is where it was. It pushes nothing.
set -eu
usage="usage: make release VERSION=x.y.z"
version=${1:?$usage}
# A command that takes the architecture and writes dist/ghostroll-<version>-<architecture>.tar.gz.
BUNDLE=${BUNDLE:-deploy/bundle.sh}
SOURCE=ghostroll/__init__.py
tag=v$version
cd "${0%/*}/.."

fail() {
    echo "release.sh: $*" >&2
    exit 1
}

expr "$version" : '[0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*$' >/dev/null || fail "$version is no version. $usage"
[ -z "$(git status --porcelain)" ] || fail "the working tree has changes; commit or remove them first."
git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null && fail "the tag $tag exists already."
current=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$SOURCE")
[ -n "$current" ] || fail "$SOURCE names no version."
newest=$(printf '%s\n%s\n' "$current" "$version" | sort -V | tail -n 1)
# The version of the source may be one that was never released: the first.
if [ "$newest" != "$version" ] || grep -q "^## $version " CHANGELOG.md; then
    fail "$version is not newer than $current."
fi
awk '/^## /{inside = $2 == "Unreleased"} inside && /^[-*] /{found = 1} END{exit !found}' CHANGELOG.md ||
    fail "CHANGELOG.md lists nothing under Unreleased."

start=$(git rev-parse HEAD)
# The tree was clean, so this drops nothing but the release.
trap 'git reset --quiet --hard "$start"; echo "release.sh: nothing was released." >&2' EXIT
sed -i "s/^__version__ = .*/__version__ = \"$version\"/" "$SOURCE"
sed -i "s/^## Unreleased\$/&\n\n## $version - $(date -u +%F)/" CHANGELOG.md
git commit --quiet --message "Release $version" "$SOURCE" CHANGELOG.md
for arch in amd64 arm64; do
    "$BUNDLE" $arch
done
(cd dist && sha256sum "ghostroll-$version-amd64.tar.gz" "ghostroll-$version-arm64.tar.gz" >SHA256SUMS)
git tag --annotate "$tag" --message "GhostRoll $version"
trap - EXIT
echo "Tagged $tag; dist/ holds the bundles and SHA256SUMS. To publish: git push --follow-tags"
