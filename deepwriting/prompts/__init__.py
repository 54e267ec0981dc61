"""Prompt templates in this project's own words, one folder a set and language; ``deepwriting.reer.prompts`` reads them.

A template is plain text with ``{{slots}}``. What stands below a line ``<<<assistant>>>`` begins the model's own turn.

    default/   for models that follow instructions: long, every requirement of the paper's listings spelled out.
               Instructions first and the pair's texts last, so that everything before the first slot is the same for
               all pairs and an engine with prefix caching reads it once.
    compact/   for models of a few hundred million parameters: short, texts first, and the form is begun for them;
               a refined segment keeps the old one and thinks on from there.
    no-reflection/  the default set without thinking patterns: the paper's ablation "Remove Reflection Tokens". Holds
               only the files that differ.

    initial.txt    the first thinking, given query and solution          (paper, Listing 1)
    refine.txt     one segment edited                                    (paper, Listing 2)
    inference.txt  the prompt under which a solution is scored           (paper, Listing 3)
    openers.txt    beginnings of the first thinking, one chosen a pair
    triggers.txt   beginnings of a new thought, where refine.txt has the slot {{trigger}}
    closers.txt    the same for the last segment, which must not open new questions
    query.txt      a request that a given passage would answer           (paper, section 2.3.1)
    category.txt   which of the 25 categories a request belongs to       (paper, section 2.3.2)
    request.txt    whether a chat asks for a piece of writing            (paper, section 2.3.1)
"""
