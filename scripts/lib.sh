# What scripts/quickstart and scripts/test share. Sourced, not run.

root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs those of the named Debian packages that are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    echo "installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    root apt-get update -qq
    root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

build_packages=(g++ cmake ninja-build ccache git python3 ca-certificates libcli11-dev nlohmann-json3-dev libspdlog-dev
                libfmt-dev catch2 libsqlite3-dev libtomlplusplus-dev)
test_packages=(tini bsdutils procps util-linux strace)
lint_packages=(clang-format-19 clang-tidy-19)

export POSTER_COMPILER_LAUNCHER=ccache
jobs=$(nproc)
[ "$jobs" -gt 4 ] && jobs=4
