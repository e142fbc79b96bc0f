# What scripts/quickstart and scripts/test share. Sourced, not run.

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "$0: installing packages needs root or sudo: $*" >&2
        return 1
    fi
}

# Installs those of the named Debian packages that are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    echo "installing: ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Configures and builds a preset: `build PRESET [TARGET…]`.
build() {
    local preset=$1
    shift
    cmake --preset "$preset" >/dev/null
    cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
}

build_packages=(g++ cmake ninja-build ccache git python3 ca-certificates libcli11-dev nlohmann-json3-dev libspdlog-dev
                libfmt-dev catch2 libsqlite3-dev libtomlplusplus-dev libyaml-cpp-dev zlib1g-dev libre2-dev libcurl4-openssl-dev libpugixml-dev)
test_packages=(tini bsdutils procps locales util-linux strace tmux zsh fish bash-completion python3-venv
               openssh-server openssh-client rsync exim4-daemon-light openssl curl slurm-wlm munge)
lint_packages=(clang-format-19 clang-tidy-19)

export POSTER_COMPILER_LAUNCHER=ccache
jobs=$(nproc)
[ "$jobs" -le 4 ] || jobs=4
