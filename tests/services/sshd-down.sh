#!/usr/bin/env bash
# Stops what sshd-up.sh STATE started, sessions included, and removes the chroot.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
state=$(cd "${1:?usage: sshd-down.sh STATE}" && pwd -P)
if alive "$state/sshd.pid"; then
    pkill -TERM -P "$(cat "$state/sshd.pid")" || true # the sessions
fi
stop_by "$state/sshd.pid"
if [ "${2:-}" = --remove ] && [ -s "$state/chroot" ]; then
    rm -rf "$(cat "$state/chroot")"
fi
