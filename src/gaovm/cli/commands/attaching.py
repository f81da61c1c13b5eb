"""The shell line with which a terminal attaches to the project's session in the guest.

The line is fixed: the session's name is a variable of the guest, which the config's ``env`` sets.
"""

from __future__ import annotations

#: Attach to the session that the config's env names; without such a name or a program for it,
#: become a login shell. tmux gets Ctrl-A as Zellij has it, unless its user has a config of their
#: own. Both programs compare whole names here, no beginnings.
_ATTACH = r"""
if [ -n "${ZELLIJ_SESSION:-}" ]; then
  if command -v zellij >/dev/null 2>&1; then
    exec zellij attach --create "$ZELLIJ_SESSION"
  elif command -v tmux >/dev/null 2>&1; then
    own="${XDG_CONFIG_HOME:-$HOME/.config}/tmux/tmux.conf"
    if [ -e "$HOME/.tmux.conf" ] || [ -e "$own" ]; then
      exec tmux new-session -A -s "$ZELLIJ_SESSION"
    fi
    exec tmux new-session -A -s "$ZELLIJ_SESSION" \; set-option -g prefix C-a \; \
      bind-key C-a send-prefix \; bind-key D detach-client
  fi
fi
exec "${SHELL:-/bin/sh}" -l
"""


def argv() -> list[str]:
    """Return the command that attaches to the project's session."""
    return ["/bin/sh", "-c", _ATTACH]
