# The one shell of a kernel: driver.bash ANSWERS REPORT TERMINAL, descriptors but for REPORT, a file.
# No program finds the terminal as /dev/tty, where nobody would see what it asks.
#
# A request, on the input (3), is a script that ends with NUL. It sets:
#   rehearsal_nonce   what begins the answer
#   rehearsal_cell    a path: statement N is the file CELL.N, on its line of the cell
#   rehearsal_count   how many statements
#   rehearsal_fails   yes: the last one is expected to fail
#   rehearsal_asked   yes: somebody answers on 7, the terminal
# An answer (4) is the nonce and a status. A cell that fails ends this shell.
# REPORT gets lines, with tabs:
#   at N                        a statement is run
#   last                        it is the last, and expected to fail
#   failed STATUS LINE FILE     what failed
#   missing STATUS LINE FILE    there was no such command, which bash lets pass in a condition
readonly rehearsal_report=$2 rehearsal_driver=${BASH_SOURCE[0]}
exec 3<&0 4>&"$1" 5>&1 6>&2 7<&"$3" < /dev/null
set --

# Note that $1 (failed, missing) is status $2, and where it came from: the nearest line that is not
# the driver's.
rehearsal_note() {
  local -i rehearsal_i=1
  while [[ ${BASH_SOURCE[rehearsal_i]-} == "$rehearsal_driver" &&
    -n ${BASH_SOURCE[rehearsal_i + 1]-} ]]; do
    rehearsal_i+=1
  done
  local -i rehearsal_line=${BASH_LINENO[rehearsal_i - 1]}
  builtin printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$rehearsal_line" "${BASH_SOURCE[rehearsal_i]-}" \
    >> "$rehearsal_report"
}
# End everything. In a subshell the command that waits for it must not run any more; politely first,
# so that what reads from a pipe can still write what it holds.
rehearsal_end() {
  [[ $BASHPID != "$rehearsal_shell" ]] || builtin exit "$1"
  builtin trap '' TERM
  builtin kill -TERM 0
  /bin/sleep 0.2 2> /dev/null
  builtin kill -KILL 0
}
rehearsal_failed() {
  rehearsal_note failed "$1"
  rehearsal_end "$1"
}
command_not_found_handle() {
  builtin printf '%s: line %s: %s: command not found\n' \
    "${BASH_SOURCE[1]-bash}" "${BASH_LINENO[0]}" "$1" >&2
  rehearsal_note missing 127
  [[ -n ${rehearsal_last-} ]] || rehearsal_end 127
  return 127
}
# A question that could not be asked is no "no".
rehearsal_ask() {
  local -i rehearsal_status=0
  "$@" || rehearsal_status=$?
  if ((rehearsal_status > 1)) && [[ -z ${rehearsal_last-} ]]; then
    rehearsal_failed "$rehearsal_status"
  fi
  return "$rehearsal_status"
}
test() { rehearsal_ask builtin test "$@"; }
[() { rehearsal_ask builtin [ "$@"; }
grep() { rehearsal_ask command grep "$@"; }
egrep() { rehearsal_ask command egrep "$@"; }
fgrep() { rehearsal_ask command fgrep "$@"; }
zgrep() { rehearsal_ask command zgrep "$@"; }
cmp() { rehearsal_ask command cmp "$@"; }
diff() { rehearsal_ask command diff "$@"; }
readonly -f rehearsal_note rehearsal_end rehearsal_failed command_not_found_handle rehearsal_ask
readonly -f test [ grep egrep fgrep zgrep cmp diff

# Before statement $1, whatever the one before has done.
rehearsal_arm() {
  builtin trap 'rehearsal_failed "$?"' ERR
  builtin set -Eeuo pipefail
  builtin shopt -s inherit_errexit
  builtin printf 'at\t%s\n' "$1" >> "$rehearsal_report"
  [[ $rehearsal_fails == yes && $1 == "$rehearsal_count" ]] || return 0
  builtin trap - ERR
  rehearsal_last=yes
  builtin printf 'last\n' >> "$rehearsal_report"
}
# Print what makes another shell like this one: folder, mask and variables. The folder comes first,
# for OLDPWD; without it there is no shell like this one.
rehearsal_state() {
  local rehearsal_name
  local -a rehearsal_names
  builtin echo 'for rehearsal_name in $(compgen -e); do unset -v $rehearsal_name; done'
  builtin printf 'cd -- %q || exit\numask %s\n' "$PWD" "$(builtin umask)"
  builtin printf 'unset -v IFS\n'
  builtin mapfile -t rehearsal_names <<< "$(builtin compgen -v)"
  for rehearsal_name in "${rehearsal_names[@]}"; do
    case $rehearsal_name in
      BASH* | rehearsal_* | EUID | PPID | UID | SHELLOPTS | DIRSTACK | FUNCNAME | GROUPS) ;;
      PIPESTATUS | RANDOM | SRANDOM | SECONDS | EPOCH* | LINENO | _) ;;
      *) builtin declare -p "$rehearsal_name" ;;
    esac
  done
}
readonly -f rehearsal_arm rehearsal_state
while IFS= builtin read -r -d '' -u 3 rehearsal_request; do
  builtin eval "$rehearsal_request"
  if [[ $rehearsal_asked == yes ]]; then exec <&7; else exec < /dev/null; fi
  # Sourced here and not in a function, where `declare` would be local.
  if [[ $rehearsal_fails == yes ]]; then
    builtin set +e
    builtin trap - ERR
    (
      rehearsal_shell=$BASHPID
      for ((rehearsal_n = 1; rehearsal_n <= rehearsal_count; rehearsal_n++)); do
        rehearsal_arm "$rehearsal_n"
        builtin source "$rehearsal_cell.$rehearsal_n"
      done
    ) >&5 2>&6 3<&- 4>&- 5>&- 6>&- 7<&-
    rehearsal_status=$?
  else
    rehearsal_shell=$BASHPID
    {
      rehearsal_done=0
      for ((rehearsal_n = 1; rehearsal_n <= rehearsal_count; rehearsal_n++)); do
        rehearsal_arm "$rehearsal_n"
        builtin source "$rehearsal_cell.$rehearsal_n"
        rehearsal_done=$((rehearsal_done + 1))
      done
      ((rehearsal_done == rehearsal_count)) # no `break` or `continue` went for this loop
    } >&5 2>&6 3<&- 4>&- 5>&- 6>&- 7<&-
    rehearsal_status=0
  fi
  builtin set +a # the values of the next request are for no program
  builtin printf '%s %s\n' "$rehearsal_nonce" "$rehearsal_status" >&4
done
