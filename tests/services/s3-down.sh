#!/usr/bin/env bash
# Stops what s3-up.sh STATE started. The objects stay.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
state=${1:?usage: s3-down.sh STATE}
stop_by "$state/http.pid"
stop_by "$state/https.pid"
