"""Where the thresholds of the repetition and copying filters come from: prose against loops, in numbers.

    python benchmarks/calibrate_repetition.py --texts /work/shared/data

Reads every ``*.txt`` below the folder (books, in windows) and every ``query`` or ``prompt`` of every ``*.jsonl``
(English and Chinese instructions with pasted documents, tables and forms: more repetitive than any thinking should be).
Loops are made from the books: the last part of a window is replaced by its closing block of p units, said again and
again.

Prints, for several n, the distribution of the top-3 share of both, and the share of windows beyond the threshold;
then the longest runs that unrelated passages share by chance, and the length of sentences, for the copying filter.
Tables on stdout; the random choices are seeded.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deepwriting.metrics.copying import MAX_COPIED_RUN, MIN_RUN, longest_copied_run
from deepwriting.metrics.repetition import MAX_TOP_SHARE, NGRAM_SIZE, top_ngram_share
from deepwriting.metrics.units import units

SIZES = (200, 400, 600)
NGRAM_SIZES = (3, 4, 6, 8)
PERIODS = (8, 20, 40, 60, 100)
LOOPED_SHARES = (0.33, 0.5, 1.0)
LOOPS_PER_CASE = 40
RANDOM_PAIRS = 300

#: Planning written for this script: it lists, weighs and returns to its own phrases, but does not loop.
PLANNING = {
    "plan en": """
Okay, I am given a request for a short story about a lighthouse keeper who receives one last letter. First I
want to know what the story is about underneath: not the letter, but the waiting. Hmm, maybe I should begin with
the lamp. A keeper who cleans a lamp that no ship needs any more says more than any paragraph about loneliness.

Wait, that's a bit too quiet for an opening. Maybe I should begin with the boat instead, late and in bad
weather, and the boatman who does not want to hand the letter over. That gives me a second voice and a reason
for the keeper to speak.

Structure:
- Opening: the boat, the weather, the boatman's hesitation. Around 300 words.
- Middle: the letter lies on the table unopened. The keeper does everything else first. Around 500 words.
- Turn: the keeper reads the letter, and I don't show it. Around 200 words.
- Ending: the lamp is lit although nobody has asked for it. Around 200 words.

Alternatively, maybe I should show the letter. What if the letter is only a list of repairs? Then the tenderness
is in the details: a hinge, a pane, a step that the sender remembers. I like that more than a confession. Maybe
I should keep the confession for the reader to guess.

The voice: third person, close, past tense. Short sentences in the storm, longer ones at the table. I want the
sea in verbs and not in adjectives. The boatman speaks in half sentences. The keeper hardly speaks at all.

So the plan stands: the boat, the table, the list of repairs, the lamp. I will write it in that order and end on
the light going over the water once, and then again.
""",
    "plan zh": """
好的，用户想要一篇关于外婆的菜园的散文，八百字左右。先想清楚这篇文章真正要写的是什么：不是菜园，而是外婆教我等待的方式。

嗯，也许可以从一把生锈的小锄头写起。锄头挂在门后，木柄被磨得发亮，这个细节能带出外婆的手。不过，从物件写起的散文太多了，读者一看就知道后面要说什么。

换个角度，也许可以从声音写起：清晨五点，井绳绕过木轮的声音，水倒进桶里的声音，然后是外婆咳嗽的声音。声音比物件更近，也更容易让人回到那个院子。

结构可以这样安排：
一、清晨的声音，引出菜园和外婆，约二百字。
二、种豆角的那个春天，我性子急，天天扒开土看，外婆只说种子怕人盯着，约三百字。
三、夏天豆角爬满架子，外婆却病了，浇水的人变成了我，约二百字。
四、多年以后，我在城里的阳台上种了一盆豆角，学会不去扒土，约一百字。

等等，结尾会不会太满？如果直接写我明白了等待，就成了说教。不如停在阳台上，土面裂开一道细缝，我没有伸手。

语言要朴素，少用形容词，多用动词。外婆的话要短，带一点方言的口气，但不能难懂。整篇文章只出现一次眼泪，而且是别人的。

好，就按这个顺序写，从井绳的声音开始，到阳台上的那道细缝结束。
""",
}


def read_texts(folder: Path) -> dict[str, list[str]]:
    """The texts by group: ``books``, ``queries en``, ``queries zh``."""
    texts: dict[str, list[str]] = {"books": [], "queries en": [], "queries zh": []}
    for path in sorted(folder.rglob("*.txt")):
        book = path.read_text(encoding="utf-8", errors="replace")
        parts = re.split(r"\*\*\* ?(?:START|END) OF TH[^\n]*\n?", book)
        texts["books"].append(parts[1] if len(parts) > 1 else book)
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            query = str(record.get("query") or record.get("prompt") or "")
            chinese = len(re.findall(r"[\u4e00-\u9fff]", query)) > len(query) / 2
            texts["queries zh" if chinese else "queries en"].append(query)
    return texts


def windows(texts: list[list[str]], size: int) -> Iterator[list[str]]:
    """Non-overlapping windows of ``size`` units."""
    for text in texts:
        for start in range(0, len(text) - size + 1, size):
            yield text[start : start + size]


def looped(window: list[str], period: int, share: float) -> list[str]:
    """The window with its last part replaced by its closing block of ``period`` units, repeated."""
    length = int(len(window) * share)
    block = window[-period:]
    return window[: len(window) - length] + (block * (length // period + 1))[:length]


def report_prose(texts: dict[str, list[list[str]]]) -> None:
    """Top-3 share of texts that do not loop."""
    print(f"{'prose':<12}{'size':>5}{'n':>3}{'windows':>9}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}{'flagged':>9}")
    for name, group in texts.items():
        for size in SIZES:
            for n in NGRAM_SIZES:
                shares = [top_ngram_share(" ".join(window), n=n) for window in windows(group, size)]
                if shares:
                    p50, p95, p99 = np.quantile(shares, (0.5, 0.95, 0.99))
                    flagged = np.mean(np.asarray(shares) > MAX_TOP_SHARE)
                    print(
                        f"{name:<12}{size:>5}{n:>3}{len(shares):>9}{p50:>8.3f}{p95:>8.3f}{p99:>8.3f}"
                        f"{max(shares):>8.3f}{flagged:>9.1%}"
                    )


def report_loops(texts: dict[str, list[list[str]]], rng: random.Random) -> None:
    """Top-3 share (n as chosen) of windows of books that loop."""
    print(f"\n{'loop':<12}{'size':>5}{'period':>8}{'looped':>8}{'min':>8}{'p50':>8}{'flagged':>9}   n = {NGRAM_SIZE}")
    for size in SIZES:
        sample = rng.sample(list(windows(texts["books"], size)), LOOPS_PER_CASE)
        for period in PERIODS:
            for share in LOOPED_SHARES:
                shares = [top_ngram_share(" ".join(looped(window, period, share))) for window in sample]
                flagged = np.mean(np.asarray(shares) > MAX_TOP_SHARE)
                print(
                    f"{'books':<12}{size:>5}{period:>8}{share:>8.0%}{min(shares):>8.3f}{np.median(shares):>8.3f}"
                    f"{flagged:>9.0%}"
                )


def report_shared_runs(texts: dict[str, list[list[str]]], rng: random.Random) -> None:
    """Longest run that two unrelated windows share by chance."""
    header = f"{'shared runs':<12}{'size':>5}{'pairs':>7}{'p50':>6}{'p95':>6}{'p99':>6}{'max':>6}{'beyond':>8}"
    print(f"\n{header}   MIN_RUN = {MIN_RUN}")
    for name, group in texts.items():
        for size in (400, 1500):
            pool = [(index, window) for index, text in enumerate(group) for window in windows([text], size)]
            runs: list[int] = []
            while len(runs) < RANDOM_PAIRS and len({index for index, _ in pool}) > 1:
                (first, one), (second, other) = rng.sample(pool, 2)
                if first != second:
                    runs.append(longest_copied_run(" ".join(one), " ".join(other)))
            if runs:
                p50, p95, p99 = np.quantile(runs, (0.5, 0.95, 0.99))
                beyond = np.mean(np.asarray(runs) >= MIN_RUN)
                print(f"{name:<12}{size:>5}{len(runs):>7}{p50:>6.0f}{p95:>6.0f}{p99:>6.0f}{max(runs):>6}{beyond:>8.1%}")


def report_planning() -> None:
    """Top-3 share of planning that does not loop, with its fixed phrases and headings."""
    print(f"\n{'planning':<12}{'units':>6}" + "".join(f"{f'n={n}':>8}" for n in NGRAM_SIZES))
    for name, text in PLANNING.items():
        shares = "".join(f"{top_ngram_share(text, n=n):>8.3f}" for n in NGRAM_SIZES)
        print(f"{name:<12}{len(units(text)):>6}{shares}")


def report_sentences(texts: dict[str, list[str]]) -> None:
    """Units in a sentence."""
    print(f"\n{'sentences':<12}{'number':>8}{'p50':>6}{'p95':>6}{'p99':>6}   MAX_COPIED_RUN = {MAX_COPIED_RUN}")
    for name, group in texts.items():
        sentences = [units(part) for text in group for part in re.split(r"[.!?](?=\s)|[。！？]|\n\s*\n", text)]
        lengths = [len(sentence) for sentence in sentences if sentence]
        if lengths:
            p50, p95, p99 = np.quantile(lengths, (0.5, 0.95, 0.99))
            print(f"{name:<12}{len(lengths):>8}{p50:>6.0f}{p95:>6.0f}{p99:>6.0f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, required=True, help="folder with *.txt and *.jsonl")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    texts = read_texts(arguments.texts)
    if not texts["books"]:
        parser.error(f"no *.txt below {arguments.texts}")
    in_units = {name: [units(text) for text in group] for name, group in texts.items()}
    rng = random.Random(arguments.seed)
    report_prose(in_units)
    report_planning()
    report_loops(in_units, rng)
    report_shared_runs(in_units, rng)
    report_sentences(texts)


if __name__ == "__main__":
    main()
