"""From annotated shards to a dataset folder that ``load_dataset`` reads.

    shards (*.jsonl.gz) → sorted rows → Parquet per config → statistics → card, plots, manifest → swap into place

Start at ``deepwriting.builders.build.build_dataset``; ``deepwriting.builders.deepwriting20k.DeepWriting20K`` is the
same tables as a `datasets` builder. Nothing is imported here, so that `datasets` loads only where it is needed.
"""
