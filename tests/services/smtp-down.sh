#!/usr/bin/env bash
# Stops what smtp-up.sh STATE started. Delivered mail stays.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
stop_by "${1:?usage: smtp-down.sh STATE}/exim.pid"
