"""Formats of files as tables of rules, one format a file, generated from a configuration so that any size is covered.

Each table takes the prefixes that its names carry in the file and in the model, and is a tuple of rules for
`sfumato.checkpoints.rules.convert` and `revert`.
"""
