"""A project directory's ``.lima/config.yaml`` (Lima's format) -> VM spec, warnings, and VM names.

``config.load`` is the way in. Text to ``nodes`` (lines kept), ``check`` against ``schema`` (types,
unknown fields, fields not honoured yet), then one reader for each noun of ``spec``: ``sections``.

May import: ``errors``, ``spec``, PyYAML. Must not: read files or the environment (text and facts
come in as arguments; only ``templates.read`` opens our own package data), know daemon or VM.
"""
