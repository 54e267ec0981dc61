"""What is looked at before a release is sent: each check gives a verdict and, where it refuses, what repairs it.

    base.py        a check's result
    files.py       manifest, names, checksums, size
    card.py        the card's YAML, and whether it describes the files
    tables.py      schema, rows, categories and licences, in one pass over the Parquet files
    texts.py       personal data and secrets in what would be published
    secrets.py     what a secret and a local path look like
    licences.py    which licences may be passed on
    rights.py      token, repository and what the token may do there

Nothing here writes, neither to the folder nor to the Hub.
"""
