#!/usr/bin/env bash
# The stand-in for Telegram's Bot API, telegram.py, on 127.0.0.1:PORT.
#
#   tests/services/telegram-up.sh STATE [PORT]     then `. STATE/env`
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
state=$(make_state "${1:?usage: telegram-up.sh STATE [PORT]}") port=${2:-26950}
if ! alive "$state/pid"; then
    setsid python3 "$here/telegram.py" "$state" "$port" >"$state/log" 2>&1 </dev/null &
fi
answers() {
    alive "$state/pid" && curl -sf --noproxy '*' "http://127.0.0.1:$port/bot123456:TESTTOKEN/getMe"
}
wait_for "the Telegram stand-in" "$state/log" answers
