"""Realistic sources in their native layouts, of any size, with dirt planted at known rates.

    python -m synthetic.write FOLDER --rows 100000 --contaminate BENCHMARKS     (in benchmarks/)

    FOLDER/
        reddit/RS_2026-01.zst RC_2026-01.zst …   submissions and comments, a pair of files a month
        wildchat/*.parquet                       conversations
        longwriter/longwriter.jsonl              messages
        pairs/*.jsonl                            query and answer
        books/*.txt                              Project Gutenberg books (not counted among the rows)
        truth.jsonl                              what was planted where: id, kind, and what belongs to it

Everything follows from the seed. Nothing is kept in memory but a few thousand recent rows, to duplicate.
"""
