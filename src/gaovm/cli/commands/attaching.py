"""The shell line with which a terminal attaches to the project's session in the guest.

The line is fixed: the session's name is a variable of the guest, which the config's ``env`` sets.
"""

from __future__ import annotations

#: What a Zellij of a user without a config of their own gets: Ctrl-A D detaches, as in tmux, and
#: Ctrl-A twice types it. Zellij watches its config file, so a file it is, in the user's run-time
#: directory; root has none, and takes /run.
_ZELLIJ = """\
keybinds {
    shared_except "tmux" "locked" { bind "Ctrl a" { SwitchToMode "Tmux"; }; }
    tmux {
        bind "Ctrl a" { Write 1; SwitchToMode "Normal"; }
        bind "d" "D" { Detach; }
    }
}
show_startup_tips false
show_release_notes false"""
#: Attach to the session that the config's env names; without such a name or a program for it,
#: become a login shell. Both programs compare whole names here, no beginnings.
_ATTACH = r"""
if [ -n "${ZELLIJ_SESSION:-}" ]; then
  configs="${XDG_CONFIG_HOME:-$HOME/.config}"
  if command -v zellij >/dev/null 2>&1; then
    own="${ZELLIJ_CONFIG_FILE:-${ZELLIJ_CONFIG_DIR:-$configs/zellij}/config.kdl}"
    keys="${XDG_RUNTIME_DIR:-/run}/gaovm-zellij.kdl"
    if [ ! -e "$own" ]; then
      if [ "$(cat "$keys" 2>/dev/null)" = "$1" ] || printf '%s\n' "$1" 2>/dev/null > "$keys"; then
        exec zellij --config "$keys" attach --create "$ZELLIJ_SESSION"
      fi
    fi
    exec zellij attach --create "$ZELLIJ_SESSION"
  elif command -v tmux >/dev/null 2>&1; then
    if [ -e "$HOME/.tmux.conf" ] || [ -e "$configs/tmux/tmux.conf" ]; then
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
    return ["/bin/sh", "-c", _ATTACH, "sh", _ZELLIJ]
