#!/usr/bin/env bash
# Signs the program's certificate request and prints what it needs to connect, all of it public:
# the cluster's CA certificate, the signed certificate, the machine's SSH host keys. The certificate
# is of a group that names its generation. A generation is bound once: a binding that somebody has
# deleted stays deleted, and a new generation deletes those before it.
set -euo pipefail
root="${FLEET_ROOT:-}"
# shellcheck source=/dev/null
. "$root/etc/opencode-fleet/bootstrap.env"
tls="$root$FLEET_DATA/k3s/server/tls"
request="$root/etc/opencode-fleet/access.csr"
group="opencode-fleet:admins:$FLEET_ACCESS_GENERATION"
granted="$root$FLEET_DATA/access.generation"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# The request comes from outside: it gets the one name this program uses, whatever it asks for.
printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' >"$work/extensions"
printf 'extendedKeyUsage=clientAuth\n' >>"$work/extensions"
openssl req -in "$request" -verify -noout >&2
openssl x509 -req -in "$request" -CA "$tls/client-ca.crt" -CAkey "$tls/client-ca.key" \
  -set_serial "0x$(openssl rand -hex 16)" -days "$FLEET_ACCESS_DAYS" -sha256 \
  -subj "/O=$group/CN=opencode-fleet" \
  -extfile "$work/extensions" -out "$work/certificate.pem" >&2

kubectl=("$root/usr/local/bin/k3s" kubectl)
if [ "$(cat "$granted" 2>/dev/null)" != "$FLEET_ACCESS_GENERATION" ]; then
  "${kubectl[@]}" apply -f - >&2 <<END
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: opencode-fleet-admins-$FLEET_ACCESS_GENERATION
  labels: {opencode-fleet/access: admin}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "$group"}
END
  "${kubectl[@]}" get clusterrolebindings -l opencode-fleet/access=admin -o name |
    { grep -vx "clusterrolebinding.rbac.authorization.k8s.io/opencode-fleet-admins-$FLEET_ACCESS_GENERATION" || true; } |
    xargs -r "${kubectl[@]}" delete >&2
  # The binding of release 0.1.0.
  "${kubectl[@]}" delete clusterrolebinding opencode-fleet-admins --ignore-not-found >&2
  echo "$FLEET_ACCESS_GENERATION" >"$granted"
fi

encode() { base64 -w 0 "$1"; }
cat "$root"/etc/ssh/ssh_host_*_key.pub >"$work/host-keys"
printf 'FLEET-ACCESS {"ca": "%s", "certificate": "%s", "hostKeys": "%s"}\n' \
  "$(encode "$tls/server-ca.crt")" "$(encode "$work/certificate.pem")" "$(encode "$work/host-keys")"
