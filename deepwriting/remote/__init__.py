"""Runs and datasets in an object store: ``s3://``, ``gs://``, ``hf://buckets/`` and whatever else fsspec knows.

The stages work with folders of this machine's disks. A remote run has a *working copy* on every machine that works on
it; what a task reads is fetched before it runs, what it has written is sent afterwards, and the journals of the search
are sent step by step, so that a lost machine loses no more than the steps in flight.

    places.py    where copies are, and which remote folder each belongs to
    folder.py    the store: list, read, write, create, delete
    mirror.py    a copy and its original: what has changed is moved
    journals.py  journals in parts
    task.py      what a task does around its work
    working.py   what those call who work with runs
    notes.py     leases in the store
"""
