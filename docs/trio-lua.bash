# SPDX-License-Identifier: MIT
# Completion of trio-lua for bash; `make install` puts it in its place.

_trio_lua() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
  COMPREPLY=()
  # Everything behind the script's name is the script's.
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -e | -l | --seed | --on-deadlock | --trace | --slow-step) ((i++)) ;;
      -- | -?*) ;;
      *)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
  done
  case $previous in
    --on-deadlock) mapfile -t COMPREPLY < <(compgen -W "raise wait" -- "$word") ;;
    --trace) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    -e | -l | --seed | --slow-step) ;;
    *)
      if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "-e -l -i -v -E -W -a --await --seed
          --on-deadlock --monitor --trace --slow-step --help --version --" \
          -- "$word")
      else
        mapfile -t COMPREPLY < <(compgen -d -- "$word"
          compgen -f -X '!*.lua' -- "$word")
      fi
      ;;
  esac
}
complete -o filenames -F _trio_lua trio-lua
