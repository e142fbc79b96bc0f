#!/usr/bin/env bash
# Stops what telegram-up.sh STATE started. The messages stay.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
stop_by "${1:?usage: telegram-down.sh STATE}/pid"
