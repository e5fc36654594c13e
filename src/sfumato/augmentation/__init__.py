"""A labelled set of pictures made larger.

classes.py    the pictures of a folder by class
plan.py       Plan: how much is painted, and how
agreement.py  whether a classifier sees in a picture the class that it is to show
log.py        Attempt: what came of one picture; the log of them, and what is said at the end
augment.py    copying, painting, and keeping what agrees and is no copy
"""
