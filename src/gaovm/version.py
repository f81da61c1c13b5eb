"""The version of this code, as it was loaded: an installation may have been replaced since."""

VERSION = "0.1.0"
