"""Pictures that were measured rather than painted: how much noise they have, what takes it out, how well that went.

    noise.py       levels of noise: added, estimated, made even
    classical.py   denoisers without a network
    blur.py        how wide it is, and plug and play with a denoiser against it
    tone.py        lightness, contrast, sharpness; white balance
    jpeg.py        blocks of compression
    network.py     our networks
    foreign.py     upscalers of other programs
    tiles.py       a network over a large picture
    measures.py    PSNR, SSIM, whiteness of what was removed

Pixels here are float32 in [0, 1], (h, w) or (h, w, 3); levels of noise are of 255, as papers have them.
"""
