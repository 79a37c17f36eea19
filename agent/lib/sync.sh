# `slmc-agent sync` from its beginning to its end, and `slmc-agent verify`.
# shellcheck shell=sh

completed=false

sync_command() {
  at_once=no from_folder=''
  while [ $# -gt 0 ]; do
    case $1 in
      --now) at_once=yes ;;
      --from)
        [ $# -ge 2 ] && [ -d "$2" ] || { say '--from takes a folder' && exit 2; }
        from_folder=$(readlink -f "$2")
        shift
        ;;
      *) usage >&2 && exit 2 ;;
    esac
    shift
  done
  take_lock
  read_settings
  [ -z "$from_folder" ] || use_folder "$from_folder"
  read_clock
  settle
  begin_now
  find_desired
  bring_desired
}

# For OnFailure= of a run that served and keeps failing, and for people. A sync that is at work decides by itself.
rollback_command() {
  [ $# -eq 0 ] || { usage >&2 && exit 2; }
  take_lock
  read_settings
  read_clock
  settle
  serving=$(current_id) || finish broken 9 'nothing is deployed'
  before=$(linked previous)
  [ "$before" != - ] && intact "$base/releases/$before" || finish broken 9 "$serving is to give way, and there is no release before it"
  reason='it was rolled back after it had been accepted'
  deployed=$base/releases/$serving/release
  reject "$serving" "$(release_value serial "$deployed")" "$before" - 1 "$FLEET/$(release_value cohort "$deployed")/$TARGET"
}

# A folder that someone brought, in the place of the network.
use_folder() {
  SOURCE=$1
  [ -d "$1/$WORKSPACE/deploy" ] || WORKSPACE=.
  for folder in "$1/artifacts" "$1"; do
    [ -d "$folder/blobs/sha256" ] && ARTIFACTS=file://$folder && return 0
  done
}

take_lock() {
  mkdir -p "$state" && : >>"$state/lock" || { say "cannot write $state/lock" && exit 1; }
  exec 9>"$state/lock"
  flock -n 9 || { say 'another sync is at work' && exit 0; }
  locked=yes
  rm -rf "$scratch" && mkdir "$scratch" || { say "cannot write $state" && exit 1; }
}

# Ends the sync where now is not the time, or the network is not the way.
begin_now() {
  if [ -n "$WINDOW" ] && [ "$at_once" = no ]; then
    [ "$clock_behind" = false ] || finish outside-window 0 "the clock is not to be trusted, so the window $WINDOW is not known to be open"
    in_window "$(date -u +%H:%M)" || finish outside-window 0 "the window is $WINDOW UTC"
  fi
  classify_source
  [ "$METERED" = no ] || [ -n "$tree" ] || finish metered 0 'the network is metered: only a folder is taken'
}

# git says the same of a repository that it cannot reach and of one that it cannot write.
lost_source() {
  free=$(free_bytes)
  [ "$free" -ge 1048576 ] || finish disk-full 7 "$free bytes are free below $base"
  refusal=$(sed -n 's/^fatal: //p' "$scratch/refusal" | tail -n 1)
  finish unreachable 3 "$SOURCE is not to be reached${refusal:+: $refusal}"
}

find_desired() {
  fetch_desired || lost_source
  find_device || refuse "$reason"
  { [ -z "$variables" ] || printf '%s\n' "$variables"; } | put "$state/variables" || finish failed 1 "cannot write $state"
  find_bundle || refuse "$reason"
  check_release
}

bring_desired() {
  serving=$(current_id) || serving=''
  if [ "$serving" = "$wanted_id" ] && intact "$base/releases/$serving"; then
    refresh_release && remember_serial || finish failed 1 "cannot write below $base"
    keep unchanged 0 ''
  fi
  if known=$(bad_reason "$wanted_id" "$wanted_serial"); then
    [ -n "$serving" ] || finish known-bad 9 "$wanted_id is bad ($known), and nothing else is deployed"
    keep known-bad 8 "$wanted_id is bad ($known): it is not tried again before it is released anew"
  fi
  stage_bundle
  bring_artifacts "$staged"
  deploy
  finish deployed 0 ''
}

# The time of acceptance moves only with the serial, so an unrelated commit writes nothing here.
remember_serial() {
  [ -n "$(awk -v key="$key" -v serial="$wanted_serial" -v id="$wanted_id" '$1 == key && $2 == serial && $3 == id' "$state/accepted" 2>/dev/null)" ] ||
    remember "$wanted_id" "$wanted_serial" "$key"
}

# The current release stays; it is mended when it does not answer, after the time that it has for a start.
keep() {
  collect_garbage
  deployed=$base/releases/$serving
  if [ -f "$state/started-with" ] && cmp -s "$state/variables" "$state/started-with" && settled "$deployed"; then
    healthy=true
    if [ "$1" = unchanged ] && [ "$completed" = true ]; then finish deployed 0 'a sync that was cut off was completed'; fi
    finish "$@"
  fi
  say "starting $serving again"
  bring_artifacts "$deployed"
  apply "$deployed" && restart_runs "$deployed" "$serving" || finish broken 9 "$serving does not serve: $reason"
  cp_variables || finish failed 1 "cannot write $state"
  healthy=true
  [ "$1" = unchanged ] || finish "$@"
  finish restarted 0 'the variables of the device changed, or a run did not answer'
}

# A device that has just booted may be loading its models.
settled() {
  deadline=$(($(seconds_up) + TIMEOUT))
  while IFS=$tab read -r unit role url by <&3 || [ -n "$unit" ]; do
    [ "$role" = run ] || continue
    wait_for "$unit" "$url" "$by" "$serving" || return 1
  done 3<"$1/units.tsv"
}

verify_command() {
  read_settings
  serving=$(current_id) || { say 'nothing is deployed' && exit 9; }
  deployed=$base/releases/$serving failed=0
  check() { if "$@" >/dev/null 2>&1; then printf 'ok      %s\n' "$subject"; else failed=4 && printf 'FAILED  %s\n' "$subject"; fi; }
  subject="release $serving is signed by a key of $SIGNERS" && check signed "$deployed/release"
  subject='the bundle is the one that was released' && check has_digest "$deployed/SHA256SUMS" "$serving"
  subject='the release names this bundle' && check test "$(release_value bundle "$deployed/release")" = "$serving"
  subject='every file of the bundle' && check intact "$deployed"
  while IFS=$tab read -r digest size path <&3; do
    subject="artifact $path" && check has_digest "$artifacts/$path" "$digest"
  done 3<"$deployed/artifacts.tsv"
  subject='every run answers as this bundle' && check answers "$deployed" "$serving"
  exit "$failed"
}
