# The one shell of a kernel: driver.bash REQUESTS ANSWERS REPORT, two descriptors and a file. A request is four strings
# that end with NUL: a nonce, assignments, the file of a cell, and "yes" if it is expected to fail, its last statement
# then in FILE.last; an answer is the nonce and a status. A cell that fails ends this shell; where it failed stands in the report, and in REPORT.missing
# where there was no such command: bash lets that pass in a condition.
shopt -s inherit_errexit
readonly rehearsal_report=$3
exec 3<&"$1" 4>&"$2" 5>&1 6>&2
set --
trap 'builtin printf "%s\t%s\t%s\n" "$?" "$LINENO" "${BASH_SOURCE[0]-}" >> "$rehearsal_report"' ERR
command_not_found_handle() {
  builtin printf '%s: line %s: %s: command not found\n' "${BASH_SOURCE[1]-bash}" "${BASH_LINENO[0]}" "$1" >&2
  builtin printf '127\t%s\t%s\n' "${BASH_LINENO[0]}" "${BASH_SOURCE[1]-}" >> "$rehearsal_report.missing"
  builtin return 127
}
readonly -f command_not_found_handle
while IFS= builtin read -r -d '' -u 3 rehearsal_nonce && IFS= builtin read -r -d '' -u 3 rehearsal_values &&
  IFS= builtin read -r -d '' -u 3 rehearsal_cell && IFS= builtin read -r -d '' -u 3 rehearsal_fails; do
  builtin eval "$rehearsal_values"
  builtin set -Eeuo pipefail
  builtin set +fnvx
  builtin set -o posix # without it an arithmetic error ($((08))) only skips its line
  builtin readonly POSIXLY_CORRECT
  builtin shopt -s inherit_errexit
  if [ "$rehearsal_fails" = yes ]; then
    builtin set +e
    (
      builtin set -e
      builtin source "$rehearsal_cell"
      builtin trap - ERR
      builtin printf 'reached\n' > "$rehearsal_report.last"
      builtin source "$rehearsal_cell.last"
    ) < /dev/null >&5 2>&6 3<&- 4>&- 5>&- 6>&-
    rehearsal_status=$?
    builtin set -e
  else
    builtin source "$rehearsal_cell" < /dev/null >&5 2>&6 3<&- 4>&- 5>&- 6>&-
    rehearsal_status=0
  fi
  builtin printf '%s %s\n' "$rehearsal_nonce" "$rehearsal_status" >&4
done
