#!/usr/bin/env bash
# An OpenSSH server on 127.0.0.1:PORT, with keys of its own.
#
#   tests/services/sshd-up.sh STATE [PORT]     then `ssh -F STATE/ssh_config ptest`
#
# Host ptest is a shell account, the caller's. Host psftp, only where root starts it, is an account in a chroot that
# speaks nothing but SFTP. STATE/id_wrong and STATE/known_hosts.wrong are for those who must be refused.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
state=$(make_state "${1:?usage: sshd-up.sh STATE [PORT]}") port=${2:-26822}
me=$(id -un)

for key in hostkey otherhost id id_wrong; do
    [ -f "$state/$key" ] || ssh-keygen -q -t ed25519 -N '' -C poster-test -f "$state/$key"
done
install -m 600 "$state/id.pub" "$state/authorized_keys"

cat >"$state/sshd_config" <<CONF
Port $port
ListenAddress 127.0.0.1
HostKey $state/hostkey
PidFile $state/sshd.pid
AuthorizedKeysFile $state/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxSessions 10
MaxStartups 100
LogLevel VERBOSE
Subsystem sftp internal-sftp
CONF
if [ "$(id -u)" = 0 ]; then
    mkdir -p /run/sshd # the folder for the separation of privileges, which systemd makes elsewhere
    # A chroot may not lie below a folder that everybody may write to, as /tmp.
    chroot=/srv/poster-sftp-$port
    echo "$chroot" >"$state/chroot"
    mkdir -p "$chroot/data"
    chmod 755 "$chroot"
    chown nobody "$chroot/data"
    install -m 644 "$state/id.pub" "$state/authorized_keys.sftp"
    cat >>"$state/sshd_config" <<CONF
AllowUsers $me nobody
Match User nobody
  AuthorizedKeysFile $state/authorized_keys.sftp
  ChrootDirectory $chroot
  ForceCommand internal-sftp -d /data
  AllowTcpForwarding no
CONF
fi

printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$state/hostkey.pub")" >"$state/known_hosts"
printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$state/otherhost.pub")" >"$state/known_hosts.wrong"
cat >"$state/ssh_config" <<CONF
Match originalhost psftp
  User nobody
Match originalhost ptest
  User $me
Host ptest psftp
  HostName 127.0.0.1
  Port $port
  IdentityFile $state/id
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile $state/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 10
  LogLevel ERROR
CONF

alive "$state/sshd.pid" || /usr/sbin/sshd -f "$state/sshd_config" -E "$state/sshd.log"
answers() {
    alive "$state/sshd.pid" && ssh -F "$state/ssh_config" ptest true
}
wait_for "sshd" "$state/sshd.log" answers
