"""What is stored in a picture, ours or anyone's: texts and their carriers. Knows no torch and no network.

infotext    the one-line settings of AUTOMATIC1111's web UI, which everybody reads
carriers    named texts in PNG, JPEG, WebP and AVIF files: read, put, strip
encodings   their bytes as text
stealth     texts in the lowest bits of pixels
names       what other tools and people call samplers and schedules
readers     pictures of other tools as requests, gathered value by value
"""
