"""What a project is made with, from its own files -> Debian packages and ports for its VM.

``detect.detect`` is the entry point; ``clues`` names the files, and ``reading`` parses them with
bounds. One module per kind of project says what they mean; ``writing`` puts what was found into the
text of a config.

The files are hostile: a guest can write them. So nothing of their text gets into a config but port
numbers. Packages and words come from the tables here. Pure: the text comes in as an argument.
"""
