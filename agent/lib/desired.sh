# The desired state: a commit fetched into the state folder, or the tree of a USB stick as it is.
# shellcheck shell=sh

repository=$state/repository

# Finds out whether SOURCE is a tree or a repository: $kind. $tree is empty where it is not on this device.
classify_source() {
  kind=git tree=''
  case $SOURCE in
    file:///*) tree=${SOURCE#file://} ;;
    /*) tree=$SOURCE ;;
  esac
  if [ -n "$tree" ] && [ ! -e "$tree/.git" ] && [ -d "$tree/$WORKSPACE/deploy" ]; then kind=tree; fi
  inside_repository=''
  [ "$WORKSPACE" = . ] || inside_repository=${WORKSPACE%/}/
}

# Brings the desired state here; $revision is its commit. False when the source is not to be reached.
fetch_desired() {
  if [ "$kind" = tree ]; then
    revision=''
  else
    fetch_commit || { rebuild_repository && fetch_commit; } || return 1
    revision=$(quiet_git rev-parse --verify --quiet refs/slmc/desired) || return 1
  fi
  date +%s | put "$state/contact"
}

quiet_git() {
  git --git-dir="$repository" -c gc.autoDetach=false -c gc.pruneExpire=now -c http.lowSpeedLimit=100 \
    -c http.lowSpeedTime=60 "$@" </dev/null
}

fetch_commit() {
  [ -f "$repository/HEAD" ] || quiet_git init --quiet --bare --template= "$repository" || return 1
  # No other git is at work here, for we hold the lock: these were left by one that was killed.
  find "$repository" -name '*.lock' -type f -exec rm -f {} +
  quiet_git fetch --quiet --no-tags --depth 1 --force -- "$SOURCE" "+refs/heads/$BRANCH:refs/slmc/desired" 2>"$scratch/refusal"
}

# Power that failed can leave a repository that git does not read; only then is it begun anew.
rebuild_repository() {
  git ls-remote --exit-code -- "$SOURCE" "refs/heads/$BRANCH" >/dev/null 2>&1 </dev/null || return 1
  say "the copy of the repository is damaged: it is fetched anew"
  rm -rf "$repository"
}

# The content of a regular file of the workspace.   desired PATH
desired() {
  if [ "$kind" = git ]; then
    quiet_git cat-file blob "$revision:$inside_repository$1" 2>/dev/null
  else
    [ -f "$tree/$WORKSPACE/$1" ] && [ ! -L "$tree/$WORKSPACE/$1" ] && cat "$tree/$WORKSPACE/$1"
  fi
}

is_desired() {
  if [ "$kind" = git ]; then
    quiet_git cat-file -e "$revision:$inside_repository$1" 2>/dev/null
  else
    [ -f "$tree/$WORKSPACE/$1" ]
  fi
}

hash_of() { printf '%s' "$1" | sha256sum; }

# The shards that a name may lie in, from none: '', `3/`, `3/a/`, as many as anyone has.
shards() {
  rest=$(hash_of "$1") prefix=''
  printf '.\n'
  for _ in 1 2 3 4 5 6; do
    next=${rest#?}
    prefix=$prefix${rest%"$next"}/
    rest=$next
    printf '%s\n' "$prefix"
  done
}

# This device's row of the table of devices: $cohort, and its variables in state/variables.
find_device() {
  table=''
  for shard in $(shards "$DEVICE"); do
    case $shard in
      .) path=deploy/$FLEET/devices.csv ;;
      *) path=deploy/$FLEET/devices/${shard%/}.csv ;;
    esac
    is_desired "$path" && table=$path && break
  done
  [ -n "$table" ] || { reason="there is no table of the devices of fleet $FLEET" && return 1; }
  row=$(desired "$table" | DEVICE=$DEVICE awk "$row_program") || { reason="$table does not read as a table of devices" && return 1; }
  [ -n "$row" ] || { reason="device $DEVICE is not in $table" && return 1; }
  cohort=$(printf '%s\n' "$row" | head -n 1)
  plain_name "$cohort" || { reason="the cohort in $table is not a name" && cohort='' && return 1; }
  variables=$(printf '%s\n' "$row" | tail -n +2)
}

# Comma-separated values: a field in quotes has its quotes doubled. Prints the cohort, then NAME='value'.
# shellcheck disable=SC2016  # a program of awk
row_program='
function split_row(line, fields,   count, quoted, i, c) {
  count = 1; fields[1] = ""; quoted = 0
  for (i = 1; i <= length(line); i++) {
    c = substr(line, i, 1)
    if (quoted && c == "\"" && substr(line, i + 1, 1) == "\"") { fields[count] = fields[count] c; i++ }
    else if (c == "\"") quoted = !quoted
    else if (c == "," && !quoted) fields[++count] = ""
    else fields[count] = fields[count] c
  }
  return count
}
NR == 1 {
  columns = split_row($0, name)
  if (columns < 3 || name[1] != "id" || name[2] != "class" || name[3] != "cohort") exit 1
  next
}
index($0, ENVIRON["DEVICE"] ",") == 1 {
  if (split_row($0, value) != columns) exit 1
  print value[3]
  for (i = 4; i <= columns; i++) {
    # Nobody signs the table: it does not decide what the units and containers themselves set.
    if (name[i] ~ /^SLMC_/ || name[i] == "ORT_DISABLE_TELEMETRY") exit 1
    if (name[i] !~ /^[A-Za-z_][A-Za-z0-9_]*$/ || value[i] ~ /[\047\\$[:cntrl:]]/) exit 1
    if (value[i] != "") print name[i] "=\047" value[i] "\047"
  }
  exit
}'

# Where the bundle of the cohort lies below deploy/, and its release below releases/: $place.
find_bundle() {
  for shard in $(shards "$cohort"); do
    case $shard in
      .) place=$FLEET/$cohort/$TARGET ;;
      *) place=$FLEET/cohorts/$shard$cohort/$TARGET ;;
    esac
    is_desired "deploy/$place/SHA256SUMS" && return 0
  done
  reason="there is no bundle of cohort $cohort for the target $TARGET"
  return 1
}
