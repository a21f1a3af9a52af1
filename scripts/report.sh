# Sourced by the other scripts: how they speak and how they fail.
# shellcheck shell=bash
# Messages go to stderr; stdout belongs to results.

export LC_ALL=C

# dmarig's exit codes, as far as a script ends by itself.
readonly exit_usage=2 exit_environment=3

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# die WHAT HELP: the environment lacks something, and this is how to mend it.
die() {
    printf 'error: %s\nhelp: %s\n' "$1" "$2" >&2
    exit "$exit_environment"
}

usage_error() {
    printf 'error: %s\nhelp: see %s --help\n' "$1" "$0" >&2
    exit "$exit_usage"
}

# Runs a command in silence; shows all it said when it fails, and passes its status on.
quietly() {
    local output status=0
    output=$("$@" 2>&1) || status=$?
    ((status == 0)) || printf '%s\n' "$output" >&2
    return "$status"
}
