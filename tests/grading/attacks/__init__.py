"""Hostile and broken submissions to one small assignment. `ATTACKS` holds all that are a notebook; see also `folders`."""

from . import corpus, corpus_more, corpus_tricks

ATTACKS = [
    *corpus.ATTACKS,
    *corpus_more.GRADEBOOK,
    *corpus_more.PAGES,
    *corpus_more.STRUCTURE,
    *corpus_more.HANG,
    *corpus_more.BOMB,
    *corpus_more.EXIT,
    *corpus_tricks.ESCAPE,
    *corpus_tricks.SECRETS,
    *corpus_tricks.NETWORK,
    *corpus_tricks.TAMPER,
    *corpus_tricks.FORGE,
    *corpus_tricks.LEFTOVERS,
]
