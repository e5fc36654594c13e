"""The queue in the words of other programs: a file each, with a `router`.

`a1111` has its requests of `a1111_payload`; `comfy` has its own of `graph`, which follows `links` between `nodes`; what
a value may be is said by their `inputs`. All read a `body`.
"""
