"""Adapters: small files that change a model's weights (LoRA and its kin) or add words to it (textual inversion).

    requested(request)                 requested.py    what a request asks for        -> Requested: files and weights
    find("lora", name)                 folders.py      a name or path                 -> file
    read_adapter(path)                 formats.py      names of any trainer           -> Adapter: pieces, one a module
    PeftConfig.read(file)              peft.py         what PEFT says beside it       -> alphas, and the method
    weight_change(kind, parts, ...)    kinds.py        the mathematics of each kind   -> what is added to a weight
    turn_rows(weight, cayley(q))       rotations.py    that of orthogonal ones        -> the weight, turned
    fit(adapter, base)                 apply.py        pieces onto a model's tensors  -> Fitting, with what is wrong
    changed(base, weighted)            apply.py        W + sum of weight * change     -> the tensors that change
    read_embedding(path)               embeddings.py   vectors of a word              -> Embedding
    open_small(path)                   pictures.py     ... which may be in a PNG      -> TensorFile
    apply(model, requested)            applied.py      onto a loaded model            -> Applied, which shares tensors
    merge(parts, loras=...)            merge.py        into the weights for good      -> Parts
    examine(path, model)               report.py       what a file is and does        -> AdapterReport

`folders` and `requested` import no torch.
"""
