# Completes limactl as an alias of gaovm lima. Put into ~/.bashrc:
#   alias limactl='gaovm lima'
#   source <(gaovm lima completion bash)
_gaovm_lima() {
  local current=${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then
    local verbs
    verbs=$(gaovm lima help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p')
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -f -W "$(gaovm lima list -q 2>/dev/null)" -- "$current")
  fi
}
complete -o filenames -F _gaovm_lima limactl
