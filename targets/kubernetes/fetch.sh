# URL, then of each file its sha256, size and name. What an earlier try has fetched is not fetched again.
blobs=$1 && shift
case $blobs in https:*) only='=https' ;; *) only='=https,http' ;; esac
cd /model
while [ $# -gt 0 ]; do
  if ! echo "$1  $3" | sha256sum -c - >/dev/null 2>&1; then
    case $3 in */*) mkdir -p "${3%/*}" ;; esac
    curl --silent --show-error --fail --location --proto "$only" $NETRC --connect-timeout 20 --retry 5 \
      --speed-limit 100 --speed-time 60 --continue-at - --output "$3" "$blobs/sha256:$1" || {
      # 33, 36: the server gives no ranges. And nothing can be added to a file that has its size already.
      case $? in 33 | 36) rm -f "$3" ;; esac
      if [ -f "$3" ]; then find "$3" ! -size "-$2"c -delete; fi
      exit 1
    }
    echo "$1  $3" | sha256sum -c - || { rm -f "$3" && exit 1; }
  fi
  shift 3
done
