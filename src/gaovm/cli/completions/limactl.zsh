# Completes limactl as an alias of gaovm lima. Put into ~/.zshrc, after compinit:
#   alias limactl='gaovm lima'
#   source <(gaovm lima completion zsh)
setopt complete_aliases
_gaovm_lima() {
  if (( CURRENT == 2 )); then
    compadd -- ${(f)"$(gaovm lima help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p')"}
  else
    compadd -- ${(f)"$(gaovm lima list -q 2>/dev/null)"}
    _files
  fi
}
compdef _gaovm_lima limactl
