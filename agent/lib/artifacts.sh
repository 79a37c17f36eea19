# The files of artifacts below artifacts/HEX/: which are missing, whether there is room, what is no longer needed.
# shellcheck shell=sh

artifacts=$base/artifacts
incoming=$artifacts/.incoming

size_of() { stat -c %s -- "$1" 2>/dev/null || echo 0; }

has_digest() { [ "$(sha256sum <"$1" 2>/dev/null)" = "$2  -" ]; }

# Whether the disk has room for so many bytes and a tenth more; the garbage goes first if not. Ends the sync if not.
room_for() {
  needed=$(($1 + $1 / 10))
  [ "$(free_bytes)" -ge "$needed" ] && return 0
  collect_garbage
  free=$(free_bytes)
  [ "$free" -ge "$needed" ] || finish disk-full 7 "$needed bytes are needed below $base, and $free are free"
}

free_bytes() { echo $(($(df -P -k "$base" | awk 'NR == 2 { print $4 }') * 1024)); }

# Brings every file that artifacts.tsv of a release's folder names. Ends the sync where one is not to be had.
bring_artifacts() {
  missing=$scratch/missing needed_bytes=0
  mkdir -p "$incoming" && : >"$missing" || finish failed 1 "cannot write below $base"
  while IFS=$tab read -r digest size path <&3 || [ -n "$digest" ]; do
    here=$artifacts/$path
    [ -f "$here" ] && [ "$(size_of "$here")" = "$size" ] && has_digest "$here" "$digest" && continue
    reuse "$digest" "$here" && continue
    printf '%s\t%s\t%s\n' "$digest" "$size" "$path" >>"$missing" || finish failed 1 "cannot write $missing"
    [ -f "$incoming/$digest" ] && size=$((size - $(size_of "$incoming/$digest")))
    [ "$size" -le 0 ] || needed_bytes=$((needed_bytes + size))
  done 3<"$1/artifacts.tsv"
  case $METERED:$ARTIFACTS in
    yes:oci+*) [ ! -s "$missing" ] || finish metered 0 "the network is metered: $needed_bytes bytes of artifacts are missing and not on the folder" ;;
  esac
  room_for "$needed_bytes"
  while IFS=$tab read -r digest size path <&3; do
    reuse "$digest" "$artifacts/$path" && continue
    download "$digest" "$size"
    move_in "$incoming/$digest" "$artifacts/$path" || finish failed 1 "cannot write $artifacts/$path"
  done 3<"$missing"
  # The names of new folders, too, before anything relies on them.
  [ ! -s "$missing" ] || find "$artifacts" -type d -exec sync {} +
}

# Another artifact on this device may have the same file, such as a tokenizer.   reuse DIGEST PATH
reuse() {
  cat "$base"/releases/*/artifacts.tsv 2>/dev/null | awk -F '\t' -v digest="$1" '$1 == digest { print $3 }' | sort -u >"$scratch/same"
  while IFS= read -r same <&4; do
    [ "$artifacts/$same" != "$2" ] && [ -f "$artifacts/$same" ] && has_digest "$artifacts/$same" "$1" || continue
    mkdir -p "${2%/*}" && ln -f "$artifacts/$same" "$2.tmp" 2>/dev/null && mv -T "$2.tmp" "$2" && sync "${2%/*}" && return 0
  done 4<"$scratch/same"
  return 1
}

# A verified file gets its name.   move_in FILE PATH
move_in() {
  mkdir -p "${2%/*}" && chmod 0644 "$1" && sync "$1" && mv -T "$1" "$2" && sync "${2%/*}"
}

# The releases that stay: the current one, the one before, and KEEP - 1 more of those that served last.
kept_releases() {
  serving=$(current_id) || serving=-
  before=$(readlink "$base/previous") || before=-
  printf '%s\n%s\n' "$serving" "${before##*/}"
  for id in $(cd "$base/releases" && ls -t); do
    case $id in "$serving" | "${before##*/}" | *[!0-9a-f]*) ;; *) printf '%s\n' "$id" ;; esac
  done | head -n "$((KEEP - 1))"
}

# What stays below artifacts/: the files that releases name, and their parts under way.
needed_paths() {
  cat "$base"/releases/*/artifacts.tsv 2>/dev/null | awk -F '\t' '{ print $3; print ".incoming/" $1 }' | sort -u
}

# Removes releases and artifacts that neither the current release nor the one before needs.
collect_garbage() {
  [ -d "$base/releases" ] && [ -d "$artifacts" ] || return 0
  kept=$(kept_releases)
  for folder in "$base/releases"/*; do
    id=${folder##*/}
    [ "$id" != "$wanted_staged" ] && ! printf '%s\n' "$kept" | grep -Fqx -e "$id" || continue
    case $id in
      *.tmp) rm -rf "$folder" ;;
      *) mv -T "$folder" "$folder.tmp" && rm -rf "$folder.tmp" ;;
    esac
  done
  # On a full disk the list may come out short, and what it lacks would be removed.
  needed_paths >"$scratch/needed" || return 0
  (cd "$artifacts" && find . -type f) | sed 's|^\./||' | grep -Fvx -f "$scratch/needed" | while IFS= read -r path; do
    rm -f "$artifacts/$path"
  done
  find "$artifacts" -mindepth 1 -depth -type d -empty -exec rmdir {} \;
}
