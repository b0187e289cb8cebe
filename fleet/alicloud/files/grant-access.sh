#!/usr/bin/env bash
# Signs the program's certificate request and prints what it needs to connect, all of it public:
# the cluster's CA certificate, the signed certificate, the machine's SSH host keys.
set -euo pipefail
root="${FLEET_ROOT:-}"
# shellcheck source=/dev/null
. "$root/etc/opencode-fleet/bootstrap.env"
tls="$root$FLEET_DATA/k3s/server/tls"
request="$root/etc/opencode-fleet/access.csr"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# The request comes from outside: it gets the one name this program uses, whatever it asks for.
printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' >"$work/extensions"
printf 'extendedKeyUsage=clientAuth\n' >>"$work/extensions"
openssl req -in "$request" -verify -noout >&2
openssl x509 -req -in "$request" -CA "$tls/client-ca.crt" -CAkey "$tls/client-ca.key" \
  -set_serial "0x$(openssl rand -hex 16)" -days "$FLEET_ACCESS_DAYS" -sha256 \
  -subj "/O=opencode-fleet:admins/CN=opencode-fleet" \
  -extfile "$work/extensions" -out "$work/certificate.pem" >&2

encode() { base64 -w 0 "$1"; }
cat "$root"/etc/ssh/ssh_host_*_key.pub >"$work/host-keys"
printf 'FLEET-ACCESS {"ca": "%s", "certificate": "%s", "hostKeys": "%s"}\n' \
  "$(encode "$tls/server-ca.crt")" "$(encode "$work/certificate.pem")" "$(encode "$work/host-keys")"
