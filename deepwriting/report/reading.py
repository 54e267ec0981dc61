"""The pass over the rows: every file once, in several processes where there is much to read."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from deepwriting.errors import DamagedStageError
from deepwriting.report.tally import Tally
from deepwriting.shards import shard_lines

#: From here on other processes pay off (bytes, compressed): to start them takes about half a second.
MANY_BYTES = 32 * 2**20
#: Seconds between two looks at the other processes.
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Part:
    """One file to read.

    Attributes:
        stage: the stage that wrote it.
        folder: ``shards`` or ``rejects``.
        path: the file.
        rows: rows that the stage counted in it.
    """

    stage: str
    folder: str
    path: Path
    rows: int


def read_part(part: Part, names: frozenset[str], tell: Callable[[int], None] | None = None) -> Tally:
    """The tally of one file.

    Args:
        part: the file.
        names: words that details keep although they hold digits.
        tell: is told now and then how many compressed bytes have been read since it was told last.

    Raises:
        DamagedStageError: if the file is missing or damaged, or holds other rows than its stage counted.
    """
    tally, read = Tally(), 0
    for number, document in enumerate(_documents(part, tell), start=1):
        try:
            tally.add(document, names)
        except (KeyError, TypeError, AttributeError) as error:
            raise DamagedStageError(f"{part.path}, line {number}: not a row ({error!r})") from error
        read = number
    if read != part.rows:
        raise DamagedStageError(f"{part.path} holds {read} rows, but stage {part.stage!r} counted {part.rows}")
    return tally


def _documents(part: Part, tell: Callable[[int], None] | None) -> Iterator[Any]:
    told = 0
    try:
        with part.path.open("rb") as raw:
            for number, line in enumerate(shard_lines(part.path, raw), start=1):
                try:
                    document = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise DamagedStageError(f"{part.path}, line {number}: not JSON ({error})") from error
                yield document
                if tell is not None and raw.tell() != told:
                    tell(raw.tell() - told)
                    told = raw.tell()
    except FileNotFoundError as error:
        raise DamagedStageError(
            f"{part.path} is missing; stage {part.stage!r} counted {part.rows} rows in it"
        ) from error
    except OSError as error:
        raise DamagedStageError(f"{part.path} cannot be read: {error}") from error


def read_parts(
    parts: Sequence[Part],
    names: frozenset[str],
    *,
    workers: int | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> dict[tuple[str, str], Tally]:
    """The tallies of many files, summed by stage and folder.

    Args:
        parts: the files.
        names: words that details keep although they hold digits.
        workers: processes; by default one for each core where there is much to read.
        watch: is called with the compressed bytes read so far and their total.

    Raises:
        DamagedStageError: if a file is missing or damaged.
    """
    sizes = {part.path: part.path.stat().st_size if part.path.exists() else 0 for part in parts}
    total = sum(sizes.values())
    if workers is None:
        workers = min(_cores(), len(parts)) if total >= MANY_BYTES else 1
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        if watch is not None:
            watch(done, total)

    tallies: dict[tuple[str, str], Tally] = {}
    if workers <= 1:
        for part in parts:
            tallies.setdefault((part.stage, part.folder), Tally()).merge(read_part(part, names, tell))
        return tallies
    found: dict[int, Tally] = {}
    # Large files first, so that no process is left alone with one at the end; summed in the given order, though.
    order = sorted(range(len(parts)), key=lambda index: -sizes[parts[index].path])
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(counter,))
    try:
        futures = {pool.submit(_read_elsewhere, parts[index], names): index for index in order}
        waiting = set(futures)
        while waiting:
            ready, waiting = wait(waiting, _LOOK_SECONDS, FIRST_COMPLETED)
            for future in ready:
                found[futures[future]] = future.result()
            if watch is not None:
                watch(counter.value, total)
    except BaseException:
        # Whatever went wrong, nobody waits for the rest.
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    for index, part in enumerate(parts):
        tallies.setdefault((part.stage, part.folder), Tally()).merge(found.pop(index))
    return tallies


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_counter: Any = None


def _begin(counter: Any) -> None:
    global _counter
    _counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _read_elsewhere(part: Part, names: frozenset[str]) -> Tally:
    return read_part(part, names, _add)


def _add(count: int) -> None:
    with _counter.get_lock():
        _counter.value += count
