"""Does a publish that is cut off ever show half a release, and does the same command end right afterwards?

    python benchmarks/release_cuts.py --cuts 50

Each cut hits one ``deepwriting publish``, a process of its own, against a local Hub: half of them the first version of
a repository, half the second; half in pieces (Xet), half as whole files (LFS). A third of the processes are killed (-9)
at a random time. For the others a random request fails (the connection ends before, after, or in the middle of the
answer) and every later one too; most of these processes are then killed, the rest give up by themselves.

After each cut every branch and every tag is looked at: a release is there whole or not at all, and what was there
before is unharmed. Then the same command runs again, undisturbed: branch and tag must be the release, with one
commit a version, and every file that a reader downloads must have the folder's bytes. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import print_table
from release_rows import NAME, Rows, build, local_hub

REPO = f"tester/{NAME}"
OLD, NEW = "1.0.0", "1.1.0"
#: Rows of a Parquet file: a release of several files.
ROWS_PER_SHARD = 60
#: Share of the cuts that kill the process at a random time, and of the others in which it is left to give up.
KILLED, PATIENT = 0.34, 0.1
#: Written by the Hub itself when a repository is created.
_BESIDE = {".gitattributes"}
#: Seconds between two looks at the log of the Hub, and the longest that a client may take.
_LOOK, _LIMIT = 0.02, 300


@dataclass
class Stage:
    """A Hub as it is before a cut, and the release that is about to be published."""

    hub: Any
    saved: Path
    folder: Path
    version: str
    xet: bool
    seconds: float = 0.0
    requests: int = 0

    def reset(self) -> None:
        """Put the Hub back to what it was."""
        port = int(self.hub.endpoint.rpartition(":")[2])
        self.hub.stop()
        shutil.rmtree(self.hub.data, ignore_errors=True)
        shutil.copytree(self.saved, self.hub.data)
        shutil.rmtree(self.hub.home, ignore_errors=True)
        self.hub.__init__(self.hub.data, self.hub.home, port)

    def start(self) -> subprocess.Popen[str]:
        """Begin to publish."""
        environment = self.hub.env | {
            "HF_HUB_DISABLE_XET": "0" if self.xet else "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        command = [sys.executable, "-m", "deepwriting", "publish", str(self.folder), "--repo", REPO]
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> tuple[int, str]:
        """Publish undisturbed; the exit code and what was said."""
        process = self.start()
        _, said = process.communicate(timeout=_LIMIT)
        return process.returncode, said


def contents(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of all files of a folder."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


class Reader:
    """What anybody sees of the repository."""

    def __init__(self, hub: Any, folders: dict[str, Path]):
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
        self.api = HfApi(endpoint=hub.endpoint, token=hub.token)
        #: Version -> path -> (size, SHA-256, git's hash).
        self.expected = {version: self._local(folder) for version, folder in folders.items()}
        self.bytes = {version: contents(folder) for version, folder in folders.items()}

    @staticmethod
    def _local(folder: Path) -> dict[str, tuple[int, str, str]]:
        from deepwriting.hub.plan import git_hash

        return {
            path: ((folder / path).stat().st_size, digest, git_hash(folder / path))
            for path, digest in contents(folder).items()
        }

    def refs(self) -> dict[str, str] | None:
        """Branches and tags with their commits; None where there is no repository."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            found = self.api.list_repo_refs(REPO, repo_type="dataset")
        except RepositoryNotFoundError:
            return None
        return {f"branch {b.name}": b.target_commit for b in found.branches} | {
            f"tag {tag.name}": tag.target_commit for tag in found.tags
        }

    def shows(self, commit: str) -> str:
        """What a commit holds: ``nothing``, a version, or ``half a release``."""
        found = {}
        for entry in self.api.list_repo_tree(REPO, repo_type="dataset", revision=commit, recursive=True):
            if hasattr(entry, "size") and entry.path not in _BESIDE:
                found[entry.path] = (entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
        if not found:
            return "nothing"
        for version, files in self.expected.items():
            if found.keys() == files.keys() and all(
                size == files[path][0] and (sha256 == files[path][1] if sha256 else blob == files[path][2])
                for path, (size, sha256, blob) in found.items()
            ):
                return version
        return "half a release"

    def downloaded(self, version: str, cache: Path) -> bool:
        """Whether a reader of the tag gets the folder's files, byte for byte."""
        folder = Path(self.api.snapshot_download(REPO, repo_type="dataset", revision=version, cache_dir=cache))
        same = {path: sha for path, sha in contents(folder).items() if path not in _BESIDE} == self.bytes[version]
        shutil.rmtree(cache)
        return same

    def commits(self) -> int:
        """Commits of the branch."""
        return len(self.api.list_repo_commits(REPO, repo_type="dataset"))


def cut(stage: Stage, rng: random.Random) -> str | None:
    """Begin to publish and cut it off; what was done to it, or ``None`` if it had come to its end before."""
    if rng.random() < KILLED:
        process = stage.start()
        try:
            process.wait(rng.uniform(0.1, stage.seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        return "killed at a random time" if process.returncode == -signal.SIGKILL else None
    kind = rng.choice(("cut", "cut-after", "cut-half"))
    nth = rng.randint(1, stage.requests)
    stage.hub.fault(".", nth, kind)
    stage.hub.fault(".", nth + 1, "cut", times=None)
    process = stage.start()
    patient = rng.random() < PATIENT
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < _LIMIT:
        if not patient and any(line["fault"] for line in stage.hub.requests()):
            time.sleep(rng.uniform(0, 0.5))
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(_LOOK if not patient else 1)
    process.communicate()
    return f"{kind}, {'gave up' if patient else 'killed'}"


def faults_of(stage: Stage, reader: Reader, how: str, cache: Path) -> tuple[str, list[str]]:
    """What a cut has left, and everything that is wrong with it or after the same command has run again."""
    stage.hub.forget()
    wrong, refs = [], reader.refs()
    before = OLD if stage.version == NEW else "nothing"
    left = "no repository" if refs is None else reader.shows(refs["branch main"])
    for name, commit in (refs or {}).items():
        shown = reader.shows(commit)
        allowed = {name.removeprefix("tag ")} if name.startswith("tag ") else {before, stage.version}
        if shown not in allowed:
            wrong.append(f"{how}: {name} shows {shown}")
    if refs is not None and f"tag {stage.version}" in refs:
        left += ", tagged"
    code, said = stage.finish()
    if code != 0:
        return left, [*wrong, f"{how}: the same command ended with code {code}: {said[-300:]}"]
    refs = reader.refs() or {}
    if refs.get("branch main") != refs.get(f"tag {stage.version}"):
        wrong.append(f"{how}: branch and tag differ after the second attempt: {refs}")
    elif reader.shows(refs["branch main"]) != stage.version:
        wrong.append(f"{how}: the second attempt left {reader.shows(refs['branch main'])}")
    elif not reader.downloaded(stage.version, cache):
        wrong.append(f"{how}: a reader gets other bytes")
    if (made := reader.commits()) != (expected := 3 if stage.version == NEW else 2):
        wrong.append(f"{how}: {made} commits instead of {expected}")
    return left, wrong


def prepared(hub: Any, root: Path, folders: dict[str, Path]) -> list[Stage]:
    """The four places where a cut can hit, each published once undisturbed: how long that takes, how many requests."""
    stages = []
    for xet in (True, False):
        empty = root / f"empty-{xet}"
        hub.reset()
        shutil.copytree(hub.data, empty)
        for version in (OLD, NEW):
            saved = root / f"before-{version}-{xet}"
            shutil.copytree(hub.data if version == NEW else empty, saved)
            stage = Stage(hub, saved, folders[version], version, xet)
            hub.forget()
            began = time.monotonic()
            code, said = stage.finish()
            if code != 0:
                raise SystemExit(f"publishing {version} undisturbed ended with code {code}:\n{said[-2000:]}")
            stage.seconds, stage.requests = time.monotonic() - began, len(hub.requests())
            stages.append(stage)
    return stages


def main() -> None:
    """Cut, look, publish again, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        root, rows = Path(scratch), Rows(pool=20_000)
        (root / "hub").mkdir()
        folders = {}
        for version, numbers in ((OLD, options.rows), (NEW, options.rows + 20)):
            shards = rows.write(root / f"shards-{version}", {n: int(version == NEW and n < 5) for n in range(numbers)})
            out = root / version / NAME
            folders[version] = build(shards, out, version, ("default", "all"), rows_per_shard=ROWS_PER_SHARD).folder
        hub = local_hub(root / "hub")
        try:
            found, wrong = [], []
            reader = Reader(hub, folders)
            stages = prepared(hub, root, folders)
            while len(found) < options.cuts:
                number, stage = len(found), stages[len(found) % len(stages)]
                stage.reset()
                if (how := cut(stage, rng)) is None:
                    continue
                left, faults = faults_of(stage, reader, f"cut {number + 1} ({how})", root / "cache")
                found.append((f"{stage.version}, {'Xet' if stage.xet else 'LFS'}", how, left))
                wrong += faults
        finally:
            hub.stop()
    print(f"undisturbed: {', '.join(f'{s.requests} requests, {s.seconds:.0f} s' for s in stages)}")
    print_table([
        {"publishing": release, "cut": how, "branch shows": left, "times": str(count)}
        for (release, how, left), count in sorted(Counter(found).items())
    ])  # fmt: skip
    print(f"{options.cuts} cuts, {len(wrong)} things wrong")
    for line in wrong:
        print("  ", line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
