"""The sections of a config file, one module per noun of ``spec``: nodes -> frozen data."""
