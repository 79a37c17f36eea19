# One blob by its digest, from a registry or from an OCI layout in a folder, resumed where it was cut off.
# shellcheck shell=sh

token='' blob_url=''

# The verified blob lies in .incoming/DIGEST afterwards. Ends the sync if it cannot be had.   download DIGEST SIZE
download() {
  part=$incoming/$1 tries=0 wrong=0 http_code='' refusal=''
  while [ "$tries" -lt 5 ]; do
    tries=$((tries + 1))
    [ "$(size_of "$part")" -le "$2" ] || rm -f "$part"
    if [ "$(size_of "$part")" -ne "$2" ] || [ ! -f "$part" ]; then transfer "$1" "$2"; fi
    [ -f "$part" ] && [ "$(size_of "$part")" -ge "$2" ] || { pause "$tries" && continue; }
    has_digest "$part" "$1" && return 0
    rm -f "$part"
    wrong=$((wrong + 1))
    [ "$wrong" -lt 2 ] || break
  done
  [ "$wrong" -eq 0 ] || finish corrupt 6 "what came for sha256:$1 has another digest"
  finish offline 5 "sha256:$1 is not to be had from $ARTIFACTS${refusal:+: $refusal}"
}

# A refusal is an answer: asking again does not change it.
pause() {
  case $http_code in 401 | 403 | 404) tries=5 ;; *) [ "$1" -ge 5 ] || sleep 1 ;; esac
}

# transfer DIGEST SIZE
transfer() {
  case $ARTIFACTS in
    file://*)
      blob=${ARTIFACTS#file://}/blobs/sha256/$1
      http_code='' tries=5
      [ ! -f "$blob" ] || cp -- "$blob" "$part"
      return
      ;;
    oci+https://*) scheme=https where=${ARTIFACTS#oci+https://} ;;
    *) scheme=http where=${ARTIFACTS#oci+http://} ;;
  esac
  where=${where%/}
  blob_url=$scheme://${where%%/*}/v2/${where#*/}/blobs/sha256:$1
  get_blob "$2"
  if [ "$http_code" = 401 ] && [ -z "$token" ] && take_token; then get_blob "$2"; fi
}

# curl, and no more bytes on the disk than the blob has.   get_blob SIZE
get_blob() {
  headers=$scratch/headers
  got=$(
    ulimit -f $(($1 / 512 + 2)) 2>/dev/null
    set -- --show-error --speed-limit 100 --speed-time 60 --continue-at - --dump-header "$headers" --output "$part" \
      --write-out '%{http_code} %{size_download}'
    # In a file: everyone on the device may read the words of a command.
    [ -z "$token" ] || set -- "$@" --header "@$scratch/authorization"
    ask "$@" "$blob_url" 2>"$scratch/refusal"
  )
  ended=$?
  http_code=${got% *}
  refusal=$(sed -n 's/^curl: ([0-9]*) //p' "$scratch/refusal" | tail -n 1)
  case ${got#* } in '' | *[!0-9]*) ;; *) downloaded=$((downloaded + ${got#* })) ;; esac
  # 33: the server gives no ranges; 36: it gave another one than was asked for; 416: the blob there is shorter.
  case $ended:$http_code in 33:* | 36:* | *:416) rm -f "$part" ;; esac
}

# curl, as the registry and its token service are asked; what begins with https stays with it.   ask WORDS... URL
ask() {
  set -- --silent --fail --globoff --location --max-redirs 5 --connect-timeout 20 "$@"
  [ -z "$NETRC" ] || set -- --netrc-file "$root$NETRC" "$@"
  protocols='=https'
  [ "$scheme" = https ] || protocols='=https,http'
  curl --proto "$protocols" --proto-redir "$protocols" "$@" </dev/null
}

# Registries give a token to anyone who asks where the refusal says, also for what is public.
take_token() {
  challenge=$(tr -d '\r' <"$headers" | sed -n 's/^[Ww][Ww][Ww]-[Aa]uthenticate: [Bb]earer //p' | tail -n 1)
  realm=$(challenge_value realm) service=$(challenge_value service) scope=$(challenge_value scope)
  case $realm in https://*) ;; http://*) [ "$scheme" = http ] || return 1 ;; *) return 1 ;; esac
  set -- --max-time 60 --get --data-urlencode "service=$service" --data-urlencode "scope=$scope"
  token=$(ask "$@" "$realm" | head -c 65536 | tr ',{}' '[\n*]' | sed -n 's/^ *"\(access_\)\{0,1\}token" *: *"\([^"]*\)".*/\2/p' | head -n 1)
  [ -n "$token" ] && (umask 077 && printf 'Authorization: Bearer %s\n' "$token" >"$scratch/authorization")
}

challenge_value() { printf '%s\n' "$challenge" | sed -n "s/.*$1=\"\([^\"]*\)\".*/\1/p"; }
