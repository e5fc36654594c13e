"""Every picture with its exact request: found again by words, by facts, by its look and by its descent.

words.py     prompts as the full-text index has them, in any language
shown.py     what a child process knows of what thumbnails show, as vectors beside those of texts
look.py      what a child process sees in a file: its size, its texts, its thumbnail, its marks
marks.py     how alike two pictures are
store.py     the database's side: add, find, change, erase
collector.py takes in what was painted, and what is brought from outside
export.py    a zip with sidecars
routes.py    ``/api/v1/gallery``
"""
