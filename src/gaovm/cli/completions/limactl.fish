# Completes limactl as an alias of gaovm lima. Put into ~/.config/fish/config.fish:
#   alias limactl='gaovm lima'
#   gaovm lima completion fish | source
complete -c limactl -e
complete -c limactl -n __fish_use_subcommand -f \
  -a "(gaovm lima help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p')"
complete -c limactl -n "not __fish_use_subcommand" -a "(gaovm lima list -q 2>/dev/null)"
