# Read by the scripts beside it: one server on one loopback port, started, awaited and stopped.
#
# The script has set `name`, `port`, `package` and `program`, and `ready`: the URL that answers once it serves. Then it
# calls `up COMMAND…` or `down`. What the server writes, and its log, stand in `$folder`, which `down` takes away.

cache=${WEIR_TEST_CACHE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/target/services}
folder=$cache/$name-$port
pid_file=$folder/pid log=$folder/log
# Whatever happens to the one who started it, it ends after this long.
seconds=${WEIR_TEST_SERVICE_SECONDS:-1800}

fail() { echo "$name: $*" >&2; exit 1; }

# The process that the pid file names, if it is still that one and not a later process with its number.
pid() {
  local number
  number=$(cat "$pid_file" 2>/dev/null) || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$number/cmdline" | grep -qF -- "127.0.0.1:$port" && echo "$number"
}

answers() { curl -sf -m 2 -o /dev/null "$ready"; }

up() {
  local number
  pid >/dev/null && answers && { echo "$url"; return; }
  curl -s -m 2 -o /dev/null "$url" && fail "port $port is taken by something else"
  command -v "$program" >/dev/null || fail "\`$program\` is not there: apt-get install $package"
  rm -rf "$folder"
  mkdir -p "$folder"
  # In a session of its own, so that the end of the starting test does not end it half-way through a write.
  setsid timeout -k 5 "$seconds" "$@" </dev/null >"$log" 2>&1 &
  number=$!
  echo "$number" >"$pid_file"
  for _ in $(seq 300); do
    answers && { echo "$url"; return; }
    kill -0 "$number" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$log" >&2
  kill -9 -- "-$number" 2>/dev/null || true
  fail "it did not start on port $port; see $log"
}

down() {
  local number
  if number=$(pid); then
    kill "$number" 2>/dev/null || true
    for _ in $(seq 50); do kill -0 "$number" 2>/dev/null || break; sleep 0.1; done
    kill -9 -- "-$number" 2>/dev/null || true
  fi
  rm -rf "$folder"
}
