# Words for people, files that are written in one step, and the status that a sync leaves behind.
# shellcheck shell=sh

say() { printf 'slmc-agent: %s\n' "$*" >&2; }

# Standard input becomes a file in one step, and is on the disk before it has its name.   put FILE [MODE]
put() {
  cat >"$1.tmp" && chmod "${2:-0644}" "$1.tmp" && sync "$1.tmp" && mv -T "$1.tmp" "$1" && sync "${1%/*}"
}

seconds_up() {
  # Not the clock: it may jump while a service starts.
  read -r uptime _ </proc/uptime
  printf '%s' "${uptime%%.*}"
}

iso() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ; }

json_text() {
  [ -n "$1" ] || {
    printf null
    return
  }
  printf '"%s"' "$(printf %s "$1" | tr '\000-\037\177' ' ' | sed 's/[\\"]/\\&/g')"
}

json_time() { if [ -n "$1" ]; then json_text "$(iso "$1")"; else printf null; fi; }

# What a sync learns; empty is unknown.
device='' fleet='' target='' cohort='' wanted_id='' wanted_serial='' revision='' healthy='' clock_behind=false
downloaded=0 started='' wanted_staged='' locked=no

current_id() {
  link=$(readlink "$base/current") && printf '%s' "${link##*/}"
}

# The time at which a bundle was accepted, if it was the last of its cohort.
accepted_at() {
  [ ! -f "$state/accepted" ] || awk -v id="$1" '$3 == id { print $4 }' "$state/accepted" | sort -n | tail -n 1
}

# The end of every sync that has the lock.   finish RESULT EXIT-CODE REASON
finish() {
  result=$1 code=$2 why=$3
  [ "$locked" = yes ] || { say "$result: $why" && exit "$code"; }
  finished=$(date +%s)
  serving=$(current_id) || serving=''
  [ -n "$healthy" ] || if [ -n "$serving" ] && answers "$base/releases/$serving" "$serving"; then healthy=true; else healthy=false; fi
  accepted=$(accepted_at "$serving") serial=''
  contact=''
  [ -f "$state/contact" ] && contact=$(cat "$state/contact")
  if [ -f "$base/releases/$serving/release" ]; then
    serial=$(release_value serial "$base/releases/$serving/release")
    # Where this sync did not come to ask: the cohort whose bundle serves.
    [ -n "$cohort" ] || cohort=$(release_value cohort "$base/releases/$serving/release")
  fi
  write_status && write_metrics || say 'could not write the status'
  rm -rf "$scratch"
  say "$result${why:+: $why}"
  exit "$code"
}

write_status() {
  put "$state/status.json" <<END
{
  "device": $(json_text "$device"),
  "fleet": $(json_text "$fleet"),
  "cohort": $(json_text "$cohort"),
  "target": $(json_text "$target"),
  "result": "$result",
  "reason": $(json_text "$why"),
  "exitCode": $code,
  "bundle": $(json_text "$serving"),
  "serial": ${serial:-null},
  "healthy": $healthy,
  "wantedBundle": $(json_text "$wanted_id"),
  "wantedSerial": ${wanted_serial:-null},
  "revision": $(json_text "$revision"),
  "started": $(json_time "$started"),
  "finished": $(json_time "$finished"),
  "accepted": $(json_time "$accepted"),
  "lastContact": $(json_time "$contact"),
  "downloadedBytes": $downloaded,
  "clockBehind": $clock_behind
}
END
}

write_metrics() {
  of="device=\"$device\",fleet=\"$fleet\""
  number() { if [ "$1" = true ]; then printf 1; else printf 0; fi; }
  put "$state/slmc.prom" <<END
# HELP slmc_device_info The bundle that this device serves and the one that it should serve.
# TYPE slmc_device_info gauge
slmc_device_info{$of,cohort="$cohort",target="$target",bundle="$serving",wanted="$wanted_id"} 1
# HELP slmc_device_healthy Whether every run answers with the bundle's id.
# TYPE slmc_device_healthy gauge
slmc_device_healthy{$of} $(number "$healthy")
# HELP slmc_device_serial Serial of the release that is deployed; 0 when there is none.
# TYPE slmc_device_serial gauge
slmc_device_serial{$of} ${serial:-0}
# HELP slmc_device_wanted_serial Serial of the release that the source wants; 0 when it is not known.
# TYPE slmc_device_wanted_serial gauge
slmc_device_wanted_serial{$of} ${wanted_serial:-0}
# HELP slmc_sync_result What the last sync came to.
# TYPE slmc_sync_result gauge
slmc_sync_result{$of,result="$result"} 1
# HELP slmc_sync_exit_code Exit code of the last sync.
# TYPE slmc_sync_exit_code gauge
slmc_sync_exit_code{$of} $code
# HELP slmc_sync_timestamp_seconds When the last sync ended, by the clock of the device.
# TYPE slmc_sync_timestamp_seconds gauge
slmc_sync_timestamp_seconds{$of} $finished
# HELP slmc_sync_last_contact_timestamp_seconds When the source was last reached; 0 when never.
# TYPE slmc_sync_last_contact_timestamp_seconds gauge
slmc_sync_last_contact_timestamp_seconds{$of} ${contact:-0}
# HELP slmc_sync_downloaded_bytes Bytes of artifacts that the last sync downloaded.
# TYPE slmc_sync_downloaded_bytes gauge
slmc_sync_downloaded_bytes{$of} $downloaded
# HELP slmc_device_clock_behind Whether the clock stands before the time of the last accepted release.
# TYPE slmc_device_clock_behind gauge
slmc_device_clock_behind{$of} $(number "$clock_behind")
END
}

status_command() {
  [ -f "$state/status.json" ] || {
    say "no sync has ended yet"
    exit 1
  }
  cat "$state/status.json"
}
