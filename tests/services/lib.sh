# What the start and stop scripts share. Sourced, not run.

# Makes STATE and all below it readable for the users that servers change to; prints where it is.
make_state() {
    mkdir -p "$1"
    chmod 755 "$1"
    (cd "$1" && pwd -P)
}

# alive PIDFILE
alive() {
    [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null
}

# stop_by PIDFILE: ends that process and waits until it is gone
stop_by() {
    local pid
    [ -s "$1" ] || return 0
    pid=$(cat "$1")
    kill -TERM "$pid" 2>/dev/null || true
    for _ in {1..50}; do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$1"
}

# wait_for WHAT LOG COMMAND…: tries the command for ten seconds
wait_for() {
    local what=$1 log=$2
    shift 2
    for _ in {1..100}; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    echo "$what did not come up:" >&2
    tail -n 5 "$log" >&2
    return 1
}

# certificates FOLDER: a CA of its own (ca.pem) and a server's certificate for localhost and 127.0.0.1 (srv.pem, srv.key)
certificates() {
    [ ! -s "$1/srv.pem" ] || return 0
    mkdir -p "$1"
    (
        cd "$1"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=poster test CA' \
            -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=localhost' -keyout srv.key -out srv.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >ext
        openssl x509 -req -in srv.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile ext -out srv.pem
    ) >"$1/openssl.log" 2>&1
}
