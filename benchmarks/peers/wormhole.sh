#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Wormhole for the workload benchmark (see benchmarks/run): PODS pods (1 or 3), each in a network namespace of its own,
# COPIES copies. The benchmark mount is pod 1's folder; the second mount, for remote reads, is pod 3's.
BENCH_LIB=${BENCH_LIB:?benchmarks/run sets BENCH_LIB to the directory of the shared benchmark}
. "$BENCH_LIB/peers/lib.sh"
PODS=${PODS:-3} COPIES=${COPIES:-2}
WORMHOLE=${WORMHOLE:-$(cd "$(dirname "$0")/../.." && pwd)/wormhole}
export WORMHOLE_CONFIG=$P/config
FOLDER=$P/folders
pod() { n=$1; shift; on "$n" "$WORMHOLE" "$@"; }
p_install() { apt_get fuse3; }
p_up() {
  mkdir -p "$FOLDER"
  pod 1 create bench --name pod-1 --mount "$FOLDER/1" --store "$P/store-1" --listen "$(ip_of 1):7420" --copies "$COPIES"
  [ "$PODS" = 1 ] && return
  rm -f "$P/token"
  pod 1 invite --pod pod-1 --uses 2 --token-file "$P/token"
  for n in 2 3; do
    [ "$n" -le "$PODS" ] || continue
    pod "$n" join "$(ip_of 1):7420" --token-file "$P/token" --name "pod-$n" --mount "$FOLDER/$n" --store "$P/store-$n" --listen "$(ip_of "$n"):7420"
  done
}
# The folder is bound to the place where the benchmark looks. Cold means cold kernel caches: the daemons stay, as the
# storage daemons of the other systems do.
p_mount() {
  mounted "$MNT" || mount --bind "$FOLDER/1" "$MNT"
  [ "$PODS" = 1 ] || mounted "$MNT2" || mount --bind "$FOLDER/3" "$MNT2"
}
p_start() { pod "$1" up "pod-$1"; }
p_stop() { for n in 1 2 3; do [ "$n" -gt "$PODS" ] || pod "$n" down "pod-$n" || true; done; }
p_heal_left() { pod 1 status --json --pod pod-1 | jq '.replication.belowCopies'; }
main "$@"
