#!/usr/bin/env bash
# A real mail server, Exim, on 127.0.0.1: PORT speaks SMTP with STARTTLS, PORT+1 TLS from the start. Needs root.
#
#   tests/services/smtp-up.sh STATE [PORT]     then `. STATE/env`
#
# It takes mail after AUTH (PLAIN, LOGIN) and offers that after TLS only. Each mail is a file in STATE/Maildir/new.
# reject@ is refused with 550, overquota@ with 552, defer@ with 451, full@ with 452 (until STATE/space is there), slow@
# answers after 20 s, more than 5 MiB are refused with 552.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
state=$(make_state "${1:?usage: smtp-up.sh STATE [PORT]}") port=${2:-26925}
mkdir -p "$state"/{spool,log,Maildir/{new,cur,tmp}}
certificates "$state/tls"

cat >"$state/exim.conf" <<CONF
primary_hostname = mail.poster.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = $port : $((port + 1))
tls_on_connect_ports = $((port + 1))
spool_directory = $state/spool
log_file_path = $state/log/%slog
pid_file_path = $state/exim.pid
tls_advertise_hosts = *
tls_certificate = $state/tls/srv.pem
tls_privatekey = $state/tls/srv.key
auth_advertise_hosts = *
message_size_limit = 5M
smtp_accept_max = 100
rfc1413_query_timeout = 0s
host_lookup =
keep_environment =
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
begin acl
rcpt:
  deny  local_parts = reject
        message = mailbox unavailable (test)
  defer local_parts = defer
        message = try again later (test)
  deny  local_parts = overquota
        message = 552 5.2.2 mailbox full (test)
  defer local_parts = full
        !condition = \${if exists{$state/space}}
        message = 452 4.3.1 insufficient system storage (test)
  warn  local_parts = slow
        delay = 20s
  accept authenticated = *
  deny  message = relay not permitted, authenticate first
begin routers
all:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = $state/Maildir
  maildir_format
  delivery_date_add
  envelope_to_add
  return_path_add
  user = Debian-exim
begin retry
* * F,1h,10m
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = \${if and{{eq{\$auth2}{poster}}{eq{\$auth3}{s3cret pass/+=}}}}
  server_set_id = \$auth2
  server_advertise_condition = \${if def:tls_in_cipher}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = \${if and{{eq{\$auth1}{poster}}{eq{\$auth2}{s3cret pass/+=}}}}
  server_set_id = \$auth1
  server_advertise_condition = \${if def:tls_in_cipher}
CONF
chown -R Debian-exim "$state"/{spool,log,Maildir,tls}
chmod 644 "$state/exim.conf"

alive "$state/exim.pid" || /usr/sbin/exim4 -C "$state/exim.conf" -bd -q5m
cat >"$state/env" <<CONF
export SMTP_HOST=localhost SMTP_PORT=$port SMTPS_PORT=$((port + 1)) SMTP_USER=poster SMTP_PASSWORD='s3cret pass/+='
CONF
greets() ( # in a shell of its own, with which the connection ends
    alive "$state/exim.pid" && exec 3<>"/dev/tcp/127.0.0.1/$port" && read -t 2 -r line <&3 && [[ $line == 220* ]]
)
wait_for "exim" "$state/log/mainlog" greets
