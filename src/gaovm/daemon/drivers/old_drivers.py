"""Translate for drivers that started before an upgrade: they use some older words."""

from __future__ import annotations

from gaovm.wire import anyjson

_WORDS = {
    "agent-lost": "agent_lost",
    "io-error": "io_error",
    "network-back": "network_back",
    "network-lost": "network_lost",
}
_KEYS = ("kind", "reason", "detail")


def translate(params: anyjson.Object) -> anyjson.Object:
    """Return a notification's parameters in the words of today's drivers."""
    words = {key: params[key] for key in _KEYS if isinstance(params.get(key), str)}
    old = {key: _WORDS[word] for key, word in words.items() if word in _WORDS}
    return {**params, **old} if old else params
