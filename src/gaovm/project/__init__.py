"""A project directory's ``.lima/config.yaml`` (Lima's format) -> VM spec, warnings, and VM names.

``config.load`` is the entry point. ``nodes`` parses the text and keeps the lines. ``check``
compares the tree with ``schema`` (types, unknown fields, fields not honoured yet). Then one reader
per noun of ``spec``, in ``sections``, makes its part of it.

May import: ``errors``, ``spec``, PyYAML. Must not: read files or the environment (text and facts
come in as arguments; only ``templates.read`` opens our own package data), know daemon or VM.
"""
