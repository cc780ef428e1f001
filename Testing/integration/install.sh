#!/usr/bin/env bash
# Installs what `make test-integration` runs besides Python packages: by apt-get on Debian and its kin; elsewhere it
# says what is missing.
set -euo pipefail
PATH="$PATH:/usr/sbin"
missing=""
for pair in Orthanc:orthanc storescu:dcmtk findscu:dcmtk getscu:dcmtk movescu:dcmtk dcm2niix:dcm2niix; do
  command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0
root=""
[ "$(id -u)" -eq 0 ] || [ "${CI:-}" != true ] || root="sudo"  # the user of a hosted runner may do everything
if command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || [ -n "$root" ]; }; then
  $root apt-get update -q
  # shellcheck disable=SC2086
  $root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
  # The tests start a PACS of their own; the one that the package has just set up is not wanted.
  case "$missing" in *orthanc*) [ ! -d /run/systemd/system ] || $root systemctl disable --now orthanc ;; esac
else
  echo "The integration tests need:$missing. Install them (on Debian, as root: apt-get install$missing)." >&2
  exit 1
fi
