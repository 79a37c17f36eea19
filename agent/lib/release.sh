# The signed release file, and the folder releases/ID that a verified bundle becomes.
# shellcheck shell=sh

# Of a damaged copy of the repository nothing can be said: the next sync fetches it anew.
refuse() {
  if [ "$kind" = git ] && ! quiet_git fsck --no-progress >/dev/null 2>&1; then
    rm -rf "$repository"
    finish unreachable 3 'the copy of the repository was damaged: the next sync fetches it anew'
  fi
  [ -z "$wanted_staged" ] || rm -rf "$base/releases/$wanted_staged"
  finish refused 4 "$1"
}

# Whether FILE.sig is a signature of FILE by one of the keys in SIGNERS.   signed FILE
signed() {
  signer=$(ssh-keygen -Y find-principals -s "$1.sig" -f "$root$SIGNERS" 2>/dev/null | head -n 1)
  [ -n "$signer" ] &&
    ssh-keygen -Y verify -f "$root$SIGNERS" -I "$signer" -n slmc-release -s "$1.sig" <"$1" >/dev/null 2>&1
}

release_value() { sed -n "s/^$1 //p" "$2"; }

# Reads a release file of the right form: $release_fleet and so on.   read_release FILE
read_release() {
  [ "$(cut -d ' ' -f 1 "$1" | tr '\n' ' ')" = 'format fleet cohort target bundle serial expires ' ] || return 1
  [ "$(release_value format "$1")" = slmc-release-1 ] || return 1
  release_fleet=$(release_value fleet "$1") release_cohort=$(release_value cohort "$1")
  release_target=$(release_value target "$1") release_id=$(release_value bundle "$1")
  release_serial=$(release_value serial "$1") release_expires=$(release_value expires "$1")
  hexadecimal "$release_id" && whole "$release_serial" || return 1
  printf '%s\n' "$release_expires" | grep -Eqx '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z' || return 1
  release_end=$(date -u -d "$release_expires" +%s 2>/dev/null)
}

# The wanted release in scratch/release, verified: $wanted_id and $wanted_serial. Ends the sync where it is refused.
check_release() {
  desired_release=$scratch/release
  rm -rf "$desired_release" && mkdir "$desired_release" || finish failed 1 "cannot write $desired_release"
  desired "releases/$place/release" >"$desired_release/release" &&
    desired "releases/$place/release.sig" >"$desired_release/release.sig" ||
    refuse "releases/$place has no release that is signed"
  signed "$desired_release/release" || refuse "the release is not signed by a key of $SIGNERS"
  read_release "$desired_release/release" || refuse "the signed release file does not read as one"
  [ "$release_fleet/$release_cohort/$release_target" = "$FLEET/$cohort/$TARGET" ] ||
    refuse "the release is of $release_fleet/$release_cohort/$release_target, not of $FLEET/$cohort/$TARGET"
  desired "deploy/$place/SHA256SUMS" >"$desired_release/SHA256SUMS" || finish failed 1 "cannot read deploy/$place/SHA256SUMS"
  wanted_id=$release_id wanted_serial=$release_serial
  [ "$(sha256sum <"$desired_release/SHA256SUMS")" = "$release_id  -" ] || refuse "the bundle in deploy/$place is not the one that was released"
  check_serial
  [ "$trusted_time" -lt "$release_end" ] || refuse "the release expired at $release_expires"
}

# Serials are those of one cohort's bundle: a device that moves to another cohort is not held back by its old one.
check_serial() {
  key=$FLEET/$cohort/$TARGET
  [ -f "$state/accepted" ] || return 0
  # shellcheck disable=SC2046  # the words of one line
  set -- $(awk -v key="$key" '$1 == key { print $2, $3 }' "$state/accepted")
  [ $# -eq 2 ] || return 0
  [ "$release_serial" -ge "$1" ] || refuse "serial $release_serial is older than $1, which was accepted before"
  [ "$release_serial" -gt "$1" ] || [ "$release_id" = "$2" ] || refuse "serial $1 was accepted for another bundle before"
}

# $trusted_time: the clock, but never before the time at which the last release was accepted.
read_clock() {
  trusted_time=$(date +%s) clock_behind=false
  started=${started:-$trusted_time}
  [ -f "$state/accepted" ] || return 0
  # As text: mawk writes numbers from 2^31 on as 4e+09.
  last=$(cut -d ' ' -f 4 "$state/accepted" | sort -n | tail -n 1)
  [ "$trusted_time" -lt "$last" ] || return 0
  trusted_time=$last clock_behind=true
  say "the clock stands before the last accepted release ($(iso "$last")): it is not trusted"
}

# Calls COMMAND with the name of each file of a SHA256SUMS that keeps to its folder; false at the first other.
each_listed() {
  while IFS= read -r listed <&3 || [ -n "$listed" ]; do
    name=${listed#*  }
    hexadecimal "${listed%%  *}" && inside "$name" && case $name in /* | ./* | *[[:cntrl:]\\]* | SHA256SUMS | release | release.sig) false ;; esac || return 1
    "$2" "$name" || return 1
  done 3<"$1"
}

add_size() {
  if [ "$kind" = git ]; then
    size=$(quiet_git cat-file -s "$revision:${inside_repository}deploy/$place/$1" 2>/dev/null) || return 1
  else
    # A link of a stick may lead anywhere.
    [ -f "$tree/$WORKSPACE/deploy/$place/$1" ] && [ ! -L "$tree/$WORKSPACE/deploy/$place/$1" ] || return 1
    size=$(size_of "$tree/$WORKSPACE/deploy/$place/$1")
  fi
  bundle_size=$((bundle_size + size))
}

bring_file() {
  case $1 in */*) mkdir -p "$staged/${1%/*}" || return 1 ;; esac
  desired "deploy/$place/$1" >"$staged/$1"
}

intact() { (cd "$1" 2>/dev/null && sha256sum --check --strict --quiet --status SHA256SUMS) 2>/dev/null; }

# The bundle in releases/ID.tmp, every file as SHA256SUMS says.
stage_bundle() {
  wanted_staged=$wanted_id.tmp bundle_size=0
  staged=$base/releases/$wanted_staged
  each_listed "$desired_release/SHA256SUMS" add_size || refuse "SHA256SUMS names a file that the bundle does not have"
  room_for "$bundle_size"
  rm -rf "$staged" && mkdir -p "$staged" && cp "$desired_release"/* "$staged" || finish failed 1 "cannot write $staged"
  each_listed "$desired_release/SHA256SUMS" bring_file || finish failed 1 "cannot write $staged"
  intact "$staged" || refuse "a file of the bundle is not what SHA256SUMS says"
  for table in install.tsv artifacts.tsv units.tsv; do
    [ -f "$staged/$table" ] || refuse "the bundle has no $table: the agent cannot deploy it"
  done
  check_tables "$staged"
  check_architecture "$staged"
}

# A start on another architecture is refused by the unit; this says so before anything is downloaded.
check_architecture() {
  machine=$(uname -m)
  case $machine in
    x86_64) machine=x86-64 ;;
    aarch64) machine=arm64 ;;
  esac
  wanted_machine=$(find "$1" '(' -name '*.service' -o -name '*.container' ')' -exec sed -n 's/^AssertArchitecture=//p' {} + | sort -u)
  for one in $wanted_machine; do
    case $one in
      "$machine") ;;
      arm64 | x86-64) refuse "the bundle is for $one, and this device is $machine" ;;
    esac
  done
}

# What stands in the tables becomes paths below this device's folders, and arguments of systemctl.
check_tables() {
  while IFS=$tab read -r source destination mode rest <&3 || [ -n "$source" ]; do
    inside "$source" && [ -f "$1/$source" ] && [ -z "$rest" ] && case $destination in /?*) inside "${destination#/}" ;; *) false ;; esac &&
      case $mode in 0[0-7][0-7][0-7]) ;; *) false ;; esac || refuse "install.tsv: the line of \`$source\` is not one"
  done 3<"$1/install.tsv"
  while IFS=$tab read -r digest size path rest <&3 || [ -n "$digest" ]; do
    hexadecimal "$digest" && hexadecimal "${path%%/*}" && inside "$path" && case $path in */?*) ;; *) false ;; esac && [ -z "$rest" ] &&
      case $size in '' | *[!0-9]* | ????????????????*) false ;; esac || refuse "artifacts.tsv: the line of \`$path\` is not one"
  done 3<"$1/artifacts.tsv"
  while IFS=$tab read -r unit role url by <&3 || [ -n "$unit" ]; do
    case $unit in '' | -* | *[!A-Za-z0-9@._:-]*) false ;; esac &&
      case $role:$url in guard:* | timer:* | run: | run:- | run:http://* | run:https://*) ;; *) false ;; esac &&
      case $role:$by in guard: | timer: | run: | run:status) ;; *) false ;; esac ||
      refuse "units.tsv: the line of \`$unit\` is not one"
  done 3<"$1/units.tsv"
}

# The staged bundle gets its name.
place_release() {
  find "$staged" -exec sync {} +
  if [ -e "$base/releases/$wanted_id" ]; then rm -rf "$base/releases/$wanted_id" || return 1; fi
  mv -T "$staged" "$base/releases/$wanted_id" && sync "$base/releases"
}

# A release may be signed anew for the bundle that serves: a later serial, a later end.
refresh_release() {
  for file in release.sig release; do
    cmp -s "$desired_release/$file" "$base/releases/$wanted_id/$file" ||
      put "$base/releases/$wanted_id/$file" <"$desired_release/$file" || return 1
  done
}
