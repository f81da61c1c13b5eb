"""Names for data whose shape no contract fixes: a user's own values, and bodies of any method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

#: A JSON object with any keys. A method's own parameters and results have structs instead.
Object: TypeAlias = Mapping[str, Any]
