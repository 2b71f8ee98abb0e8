# What both suites' scripts share; sourced by them.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
stomp=$(dirname "$here")
repo=$(cd "$here/../../.." && pwd)
# Nothing of this is committed: downloaded packages and checkouts are below the build folder.
cache=${CARGO_TARGET_DIR:-$repo/target}/protocol-tests/stomp

die() {
  echo "${0##*/}: $*" >&2
  exit 2
}

# checkout NAME REPOSITORY FILE: prints the folder in the variable NAME, or else a clone of REPOSITORY on GitHub.
checkout() {
  local folder=${!1:-}
  if [[ -n $folder ]]; then
    [[ -f $folder/$3 ]] || die "no $3 in $folder, which \$$1 names: not a checkout of $2"
    (cd "$folder" && pwd)
    return
  fi
  folder=$cache/checkouts/$2
  if [[ ! -f $folder/$3 ]]; then
    echo "Cloning https://github.com/$2 into ${folder#"$repo"/} (only this once; set \$$1 to use a checkout)" >&2
    mkdir -p "$(dirname "$folder")"
    rm -rf "$folder"
    timeout 120 git clone --quiet --depth 1 "https://github.com/$2" "$folder" >&2 ||
      die "cannot clone it; set \$$1 to a checkout of https://github.com/$2"
  fi
  echo "$folder"
}

# installed NAME PINS COMMAND...: prints the folder of these packages; COMMAND installs them into its last argument.
installed() {
  local folder=$cache/$1 pins=$2 new
  shift 2
  # The file "pins" is written last: without it, the folder is not complete.
  if [[ $(cat "$folder/pins" 2>/dev/null) != "$pins" ]]; then
    echo "Installing into ${folder#"$repo"/} (only this once): $pins" >&2
    new=$folder.new
    rm -rf "$new"
    mkdir -p "$new"
    # shellcheck disable=SC2086 # one word for each package
    timeout 300 "$@" "$new" $pins >"$new.log" 2>&1 || {
      cat "$new.log" >&2
      die "it cannot be installed"
    }
    echo "$pins" >"$new/pins"
    rm -rf "$folder" "$new.log"
    mv "$new" "$folder"
  fi
  echo "$folder"
}
