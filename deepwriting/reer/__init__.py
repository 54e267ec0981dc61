"""REER: the search for the thinking z that makes a known-good solution y least surprising (paper, section 2).

segments.py    z = [z_1 … z_n], and the part of y that is scored        (section 2.1)
prompts.py     the templates in deepwriting/prompts/                     (appendix A)
candidates.py  from a completion to a candidate, or a refusal            (section 2.2, step 2)
scoring.py     S(c): how surprising y is, given x and z                  (section 2.2, step 3)
search.py      the iterative local search                                (section 2.2)
journal.py     every finished step on disk before the next begins
"""
