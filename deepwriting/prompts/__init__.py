"""Prompt templates, one folder a language, in this project's own words; read by ``deepwriting.reer.prompts``.

A template is plain text with ``{{slots}}``. What stands below a line ``<<<assistant>>>`` begins the model's own turn.
Instructions come first and the pair's texts last, so that everything before the first slot is the same for all pairs
and an engine with prefix caching reads it once.

    initial.txt         the first thinking, given query and solution           (paper, Listing 1)
    refine.txt          one segment edited, after an analysis                   (paper, Listing 2)
    refine_direct.txt   the same without the analysis, for small models
    inference.txt       the prompt under which a solution is scored             (paper, Listing 3)
    openers.txt         beginnings of the first thinking, one chosen per pair
    query.txt           a request that a given passage would answer             (paper, section 2.3.1)
    category.txt        which of the 25 categories a request belongs to         (paper, section 2.3.2)
"""
