# /etc/slmc/agent.conf: lines KEY=value, read and never sourced.
# shellcheck shell=sh

DEVICE='' FLEET='' TARGET='' SOURCE='' BRANCH=main WORKSPACE=. ARTIFACTS='' SIGNERS='' WINDOW='' METERED=no TIMEOUT=120 KEEP=1
NETRC=''
settings=$root/etc/slmc/agent.conf

# Ends with exit code 2 and a word about the key that is missing or malformed.
read_settings() {
  [ -f "$settings" ] || misconfigured "$settings is missing"
  seen=' '
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      '' | '#'*) continue ;;
      *=*) ;;
      *) misconfigured "\`$line\` in $settings is not KEY=value" ;;
    esac
    key=${line%%=*} value=${line#*=}
    case $seen in *" $key "*) misconfigured "$key is set twice in $settings" ;; esac
    seen="$seen$key "
    well_formed "$key" "$value" || misconfigured "$key=$value in $settings: $expected"
    set_key "$key" "$value"
  done <"$settings"
  for key in DEVICE FLEET TARGET SOURCE ARTIFACTS SIGNERS; do
    case $seen in *" $key "*) ;; *) misconfigured "$key is missing in $settings" ;; esac
  done
  device=$DEVICE fleet=$FLEET target=$TARGET
}

misconfigured() {
  started=${started:-$(date +%s)}
  device=$DEVICE fleet=$FLEET target=$TARGET
  finish misconfigured 2 "$1"
}

set_key() {
  case $1 in
    DEVICE) DEVICE=$2 ;; FLEET) FLEET=$2 ;; TARGET) TARGET=$2 ;; SOURCE) SOURCE=$2 ;; BRANCH) BRANCH=$2 ;;
    WORKSPACE) WORKSPACE=$2 ;; ARTIFACTS) ARTIFACTS=$2 ;; SIGNERS) SIGNERS=$2 ;; WINDOW) WINDOW=$2 ;;
    METERED) METERED=$2 ;; TIMEOUT) TIMEOUT=$2 ;; KEEP) KEEP=$2 ;; NETRC) NETRC=$2 ;;
  esac
}

# Whether a value is one for its key; what was expected goes to $expected.   well_formed KEY VALUE
well_formed() {
  case $2 in '' | *[[:cntrl:]]*) expected='a value without control characters is expected' && return 1 ;; esac
  case $1 in
    DEVICE | FLEET | TARGET) expected='letters, digits, dots, dashes and underscores are expected' && plain_name "$2" ;;
    BRANCH) expected='the name of a branch is expected' && git check-ref-format "refs/heads/$2" ;;
    SOURCE) expected='the URL of a Git repository, or a folder, is expected' && case $2 in -* | *' '*) false ;; esac ;;
    WORKSPACE) expected='a folder inside of the repository is expected' && inside "$2" && case $2 in ./*) false ;; esac ;;
    ARTIFACTS)
      expected='oci+https://HOST/REPOSITORY, oci+http://… or file:///FOLDER is expected'
      case $2 in *' '*) false ;; oci+https://?*/?* | oci+http://?*/?* | file:///?*) ;; *) false ;; esac
      ;;
    SIGNERS | NETRC) expected='the path of a file is expected' && case $2 in /*) [ -f "$root$2" ] ;; *) false ;; esac ;;
    WINDOW)
      expected='HH:MM-HH:MM is expected, in UTC'
      printf '%s\n' "$2" | grep -Eqx '([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]'
      ;;
    METERED) expected='yes or no is expected' && case $2 in yes | no) ;; *) false ;; esac ;;
    TIMEOUT) expected='whole seconds are expected, 1 to 86400' && whole "$2" && [ "$2" -ge 1 ] && [ "$2" -le 86400 ] ;;
    KEEP) expected='a whole number from 1 is expected' && whole "$2" && [ "$2" -ge 1 ] ;;
    *) expected='there is no such key' && false ;;
  esac
}

plain_name() { case $1 in '' | [.-]* | *[!A-Za-z0-9._-]*) false ;; esac; }

# At most fifteen digits: what sh compares has 64 bits. Serials begin at seconds since 1970.
whole() { case $1 in '' | *[!0-9]* | 0?* | ????????????????*) false ;; esac; }

# Whether a relative path keeps to its folder.
inside() {
  case /$1/ in *//* | */../*) false ;; esac
}

hexadecimal() { [ "${#1}" -eq 64 ] && case $1 in *[!0-9a-f]*) false ;; esac; }

# Whether HH:MM is in WINDOW, which may reach over midnight. The end is outside.
in_window() {
  now_minute=$(minutes "$1") from=$(minutes "${WINDOW%-*}") to=$(minutes "${WINDOW#*-}")
  if [ "$from" -le "$to" ]; then
    [ "$now_minute" -ge "$from" ] && [ "$now_minute" -lt "$to" ]
  else
    [ "$now_minute" -ge "$from" ] || [ "$now_minute" -lt "$to" ]
  fi
}

minutes() {
  hour=${1%:*} minute=${1#*:}
  echo $((${hour#0} * 60 + ${minute#0}))
}
