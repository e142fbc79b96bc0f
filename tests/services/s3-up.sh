#!/usr/bin/env bash
# A strict S3 server on http://127.0.0.1:PORT and, with a CA of its own, https://127.0.0.1:PORT+1.
#
#   tests/services/s3-up.sh STATE [PORT]     then `. STATE/env`; VERSITYGW is the binary, else scripts/test_s3_server builds it
#
# Where the name s3.test leads to it (a proxy), it also takes the bucket from the host name.
# It verifies signatures, dates, payload hashes and checksums. An object is a plain file STATE/data/BUCKET/KEY, a folder a bucket.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
state=$(make_state "${1:?usage: s3-up.sh STATE [PORT]}") port=${2:-26900}
server=${VERSITYGW:-$("$here/../../scripts/test_s3_server")}
mkdir -p "$state"/{data,meta,iam}
certificates "$state/tls"

# / + and = in the secret are there on purpose.
export ROOT_ACCESS_KEY=posteraccess ROOT_SECRET_KEY=poster/secret+key=0123456789
# Metadata is kept in user attributes; where the file system has none, in files beside.
metadata=()
python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.t", b"1")' "$state/data" 2>/dev/null ||
    metadata=(--sidecar "$state/meta")

start() { # NAME PORT OPTION…
    local name=$1 at=$2
    shift 2
    alive "$state/$name.pid" && return
    setsid "$server" --port "127.0.0.1:$at" --region us-east-1 --iam-dir "$state/iam" --keep-alive \
        --virtual-domain s3.test --access-log "$state/$name.access.log" "$@" posix "${metadata[@]}" "$state/data" \
        >"$state/$name.log" 2>&1 </dev/null &
    echo $! >"$state/$name.pid"
}

# Without a signature the answer is 403: then it is the server, and with a live process ours.
answers() { # NAME URL
    alive "$state/$1.pid" || return 1
    [ "$(curl -s --noproxy '*' --cacert "$state/tls/ca.pem" -o /dev/null -w '%{http_code}' "$2")" = 403 ]
}

start http "$port"
start https "$((port + 1))" --cert "$state/tls/srv.pem" --key "$state/tls/srv.key"
cat >"$state/env" <<CONF
export AWS_ACCESS_KEY_ID=$ROOT_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$ROOT_SECRET_KEY
export AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1 AWS_ENDPOINT_URL=http://127.0.0.1:$port
export POSTER_S3_ENDPOINT=http://127.0.0.1:$port
CONF
wait_for "the S3 server" "$state/http.log" answers http "http://127.0.0.1:$port/"
wait_for "the S3 server over TLS" "$state/https.log" answers https "https://localhost:$((port + 1))/"
