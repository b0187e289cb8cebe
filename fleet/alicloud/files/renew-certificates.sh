#!/usr/bin/env bash
# k3s renews its certificates when it starts, the last 90 days before they run out; on a machine that
# nobody touches it never starts. Containers keep running through a restart.
set -euo pipefail
root="${FLEET_ROOT:-}"
# shellcheck source=/dev/null
. "$root/etc/opencode-fleet/bootstrap.env"
for certificate in "$root$FLEET_DATA"/k3s/server/tls/*.crt "$root$FLEET_DATA"/k3s/agent/*.crt; do
  case "$certificate" in
    *-ca.crt | *-ca.nochain.crt | *'*.crt') continue ;;
  esac
  if ! openssl x509 -checkend "$((80 * 86400))" -noout -in "$certificate" >/dev/null; then
    echo "opencode-fleet: $certificate runs out within 80 days, restarting k3s"
    exec systemctl restart k3s.service
  fi
done
