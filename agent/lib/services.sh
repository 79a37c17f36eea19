# What a release installs outside of its own folder, and the services that it starts.
# shellcheck shell=sh

# Whether every run of a release's folder answers with the bundle's id.   answers FOLDER ID
answers() {
  while IFS=$tab read -r unit role url by <&3 || [ -n "$unit" ]; do
    [ "$role" = run ] || continue
    answers_run "$unit" "$url" "$by" "$2" || return 1
  done 3<"$1/units.tsv"
}

# A server of the release before answers too, but with another id. One that knows nothing of bundles is asked for a
# status of success: its unit was restarted, so it is the new one.   answers_run UNIT URL BY ID
answers_run() {
  case $2:$3 in
    : | -:*) systemctl is-active --quiet "$1" </dev/null ;;
    *:status) systemctl is-active --quiet "$1" </dev/null && probe "$2" >/dev/null ;;
    *) probe "$2" | tr -d ' \t\r\n' | grep -Fq "\"bundle\":\"$4\"" ;;
  esac
}

probe() { curl --silent --fail --noproxy '*' --max-time 5 "$1" </dev/null 2>/dev/null; }

# Installs the files of a release and starts its units; with no folder, removes what the last one installed.
# Every part may be done again after a kill: the lists of what is here grow before and shrink after.   apply FOLDER
apply() {
  stop_others "$1" && install_files "$1" && put_variables && make_users "$1" || return 1
  systemctl daemon-reload </dev/null || { reason='systemctl daemon-reload failed' && return 1; }
  column 1,2 "$1/units.tsv" | sort -u | put "$state/units" && start_units "$1"
}

# The words of one column of a table; nothing where there is no table.
column() { [ ! -f "$2" ] || cut -f "$1" "$2"; }

grow() {
  { [ ! -f "$1" ] || cat "$1"; column "$2" "$3"; } | sort -u | put "$1"
}

# What runs the agent outlives every bundle, also one that brought it.
runs_agent() { case ${1##*/} in slmc-sync.service | slmc-sync.timer) ;; *) false ;; esac; }

# Runs stop before the guards that they need: by role, backwards.
stop_others() {
  grow "$state/units" 1,2 "$1/units.tsv" || { reason="cannot write $state" && return 1; }
  sort -r -k 2 "$state/units" >"$scratch/units"
  while IFS=$tab read -r unit _ <&3; do
    column 1 "$1/units.tsv" | grep -Fqx -e "$unit" || runs_agent "$unit" && continue
    systemctl disable --now "$unit" </dev/null >&2 || say "$unit was not there to be stopped"
  done 3<"$scratch/units"
}

install_files() {
  grow "$state/installed" 2 "$1/install.tsv" || { reason="cannot write $state" && return 1; }
  [ -z "$1" ] || while IFS=$tab read -r source destination mode <&3 || [ -n "$source" ]; do
    file=$root$destination
    cmp -s "$1/$source" "$file" && [ "$(stat -c %04a "$file")" = "$mode" ] && continue
    mkdir -p "${file%/*}" && put "$file" "$mode" <"$1/$source" || { reason="cannot write $file" && return 1; }
  done 3<"$1/install.tsv"
  while IFS= read -r destination <&3; do
    column 2 "$1/install.tsv" | grep -Fqx -e "$destination" || runs_agent "$destination" ||
      rm -f "$root$destination" "$root$destination.tmp"
  done 3<"$state/installed"
  column 2 "$1/install.tsv" | sort -u | put "$state/installed"
}

# The variables of this device for EnvironmentFile=; they are kept for a sync that has no source.
put_variables() {
  file=$root/etc/slmc/device.env
  [ -f "$state/variables" ] || return 0
  cmp -s "$state/variables" "$file" && return 0
  mkdir -p "${file%/*}" && put "$file" <"$state/variables" || { reason="cannot write $file" && return 1; }
}

make_users() {
  column 2 "$1/install.tsv" >"$scratch/destinations"
  while IFS= read -r destination <&3; do
    case $destination in
      */sysusers.d/*.conf) set -- systemd-sysusers ;;
      */tmpfiles.d/*.conf) set -- systemd-tmpfiles --create ;;
      *) continue ;;
    esac
    "$@" ${root:+"--root=$root"} "${destination##*/}" </dev/null >&2 || { reason="$1 refused $destination" && return 1; }
  done 3<"$scratch/destinations"
}

# Quadlet generates its units at each boot: there is nothing to enable.   enable_unit UNIT
enable_unit() { [ ! -f "$root/etc/systemd/system/$1" ] || systemctl enable "$1" </dev/null >&2; }

# Guards first, then timers; the runs are restarted by `restart_runs`.
start_units() {
  [ -n "$1" ] || return 0
  for wanted_role in guard timer; do
    while IFS=$tab read -r unit role _ <&3 || [ -n "$unit" ]; do
      [ "$role" = "$wanted_role" ] || continue
      verb=reload-or-restart
      [ "$role" = guard ] || verb=start
      enable_unit "$unit" && systemctl "$verb" "$unit" </dev/null >&2 || { reason="$unit did not start" && return 1; }
    done 3<"$1/units.tsv"
  done
}

# Restarts the runs and waits until each answers with the id, TIMEOUT seconds for all of them.   restart_runs FOLDER ID
restart_runs() {
  deadline=$(($(seconds_up) + TIMEOUT))
  while IFS=$tab read -r unit role _ <&3 || [ -n "$unit" ]; do
    [ "$role" = run ] || continue
    enable_unit "$unit" || { reason="$unit cannot be enabled" && return 1; }
    systemctl reset-failed "$unit" </dev/null 2>/dev/null
    left=$((deadline - $(seconds_up)))
    [ "$left" -ge 1 ] || { reason="$unit had no time left of $TIMEOUT seconds" && return 1; }
    timeout --foreground "$left" systemctl restart "$unit" </dev/null >&2 || may_come "$unit" || return 1
  done 3<"$1/units.tsv"
  while IFS=$tab read -r unit role url by <&3 || [ -n "$unit" ]; do
    [ "$role" = run ] || continue
    wait_for "$unit" "$url" "$by" "$2" || return 1
  done 3<"$1/units.tsv"
}

# Whether a unit whose start failed is being started again by itself.
may_come() {
  case $(systemctl show --property=ActiveState --value "$1" </dev/null) in
    active | activating | reloading) return 0 ;;
  esac
  if [ "$(systemctl show --property=AssertResult --value "$1" </dev/null)" = no ]; then
    reason="$1 refuses this device: an Assert line of the unit does not hold"
  else
    reason="$1 did not start"
  fi
  return 1
}

# wait_for UNIT URL BY ID
wait_for() {
  expected="with the bundle's id"
  [ "$3" != status ] || expected="that it is ready"
  until answers_run "$1" "$2" "$3" "$4"; do
    systemctl is-failed --quiet "$1" </dev/null && { reason="$1 failed" && return 1; }
    [ "$(seconds_up)" -lt "$deadline" ] || { reason="$1 did not answer $expected within $TIMEOUT seconds" && return 1; }
    sleep 1
  done
}
