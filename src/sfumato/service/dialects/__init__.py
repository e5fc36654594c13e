"""The queue in the words of other programs: a file each, with a `router`.

`a1111` has its requests of `a1111_payload`; `comfy` has its own of `graph`, which follows `links` between `nodes`, whose
`inputs` say what a value may be.
"""
