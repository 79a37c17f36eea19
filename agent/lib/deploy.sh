# From one release to another and, where the new one is bad, back. What is under way stands in state/intent:
# `trying` or `reverting`, then id, serial, the id before, the id before that one, the attempt, fleet/cohort/target.
# It is written before the first link moves and removed after the verdict, so a sync after a kill knows what to do.
# shellcheck shell=sh

intend() { printf '%s\n' "$*" | put "$state/intent"; }

# One link by rename; `-` removes it.   point LINK ID
point() {
  if [ "$2" = - ]; then
    rm -f "$base/$1" && sync "$base"
  else
    ln -sfn "releases/$2" "$base/$1.tmp" && mv -T "$base/$1.tmp" "$base/$1" && sync "$base"
  fi
}

linked() {
  found=$(readlink "$base/$1") || found=-
  printf '%s' "${found##*/}"
}

# The staged release becomes the current one, or does not.
deploy() {
  before=$(linked current) older=$(linked previous)
  place_release || finish failed 1 "cannot write $base/releases/$wanted_id"
  [ "$before" != "$wanted_id" ] || before=$older older=-
  say "trying $wanted_id, serial $wanted_serial"
  try "$wanted_id" "$wanted_serial" "$before" "$older" 1 "$key"
}

# try ID SERIAL BEFORE OLDER ATTEMPT KEY
try() {
  intend trying "$@" || finish failed 1 "cannot write $state"
  point previous "$3" && point current "$1" || finish failed 1 "cannot move the links below $base"
  if apply "$base/releases/$1" && restart_runs "$base/releases/$1" "$1"; then
    accept "$1" "$2" "$6" || finish failed 1 "cannot write $state"
    healthy=true
  else
    reject "$@"
  fi
}

# The verdict is good.   accept ID SERIAL KEY
accept() {
  remember "$@" && cp_variables && rm -f "$state/intent" && sync "$state" && { collect_garbage || :; }
}

# remember ID SERIAL KEY: the highest serial of the key and the time, for replays and for the clock.
remember() {
  read_clock
  { [ ! -f "$state/accepted" ] || awk -v key="$3" '$1 != key' "$state/accepted" && printf '%s %s %s %s\n' "$3" "$2" "$1" "$trusted_time"; } |
    sort | put "$state/accepted"
}

# Which variables the runs were started with.
cp_variables() { [ ! -f "$state/variables" ] || put "$state/started-with" <"$state/variables"; }

# The verdict is bad: remembered for this id and serial, then back. A full disk must not stop the way back.
reject() {
  say "$1 is bad: $reason"
  case $reason in
    'cannot write '*) ;; # a fault of this device
    *)
      { [ ! -f "$state/bad" ] || tail -n 99 "$state/bad"; printf '%s %s %s %s\n' "$1" "$2" "$(date +%s)" "$reason"; } |
        put "$state/bad" || say "cannot write $state/bad"
      ;;
  esac
  revert "$@"
}

# revert ID SERIAL BEFORE OLDER ATTEMPT KEY
revert() {
  intend reverting "$@" || say "cannot write $state/intent"
  why=$(bad_reason "$1" "$2") || why=${reason:-a file could not be written}
  point current "$3" && point previous "$4" || finish failed 1 "cannot move the links below $base"
  if [ "$3" = - ]; then
    apply '' || say "$reason"
    end_revert
    finish broken 9 "$1 is bad ($why), and nothing was deployed before"
  fi
  if apply "$base/releases/$3" && restart_runs "$base/releases/$3" "$3"; then
    end_revert
    healthy=true
    finish rolled-back 8 "$1 is bad ($why): $3 serves again"
  fi
  end_revert
  finish broken 9 "$1 is bad ($why), and $3 does not serve either: $reason"
}

end_revert() { cp_variables && rm -f "$state/intent" && sync "$state"; collect_garbage; }

bad_reason() {
  [ -f "$state/bad" ] || return 1
  awk -v id="$1" -v serial="$2" '$1 == id && $2 == serial { $1 = $2 = $3 = ""; sub(/^ +/, ""); found = $0 } END { if (found == "") exit 1; print found }' "$state/bad"
}

# Ends what a killed sync began, from the state alone. A release that takes the device down three times is bad.
settle() {
  [ -f "$state/intent" ] || return 0
  read -r phase id serial before older attempt key <"$state/intent" || finish failed 1 "$state/intent does not read"
  wanted_id=$id wanted_serial=$serial
  say "a sync was cut off while $phase $id"
  if [ "$phase" = reverting ] || bad_reason "$id" "$serial" >/dev/null; then
    revert "$id" "$serial" "$before" "$older" "$attempt" "$key"
  elif [ "$attempt" -ge 3 ]; then
    reason='three syncs that tried it were cut off'
    reject "$id" "$serial" "$before" "$older" "$attempt" "$key"
  else
    intact "$base/releases/$id" || { reason='its files are damaged' && reject "$id" "$serial" "$before" "$older" "$attempt" "$key"; }
    try "$id" "$serial" "$before" "$older" "$((attempt + 1))" "$key"
    completed=true
  fi
}
