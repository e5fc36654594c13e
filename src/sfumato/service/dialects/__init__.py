"""The queue in the words of other programs: a file each, with a `router`; `nodes` is of `comfy`."""
