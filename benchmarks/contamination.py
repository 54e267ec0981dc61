"""What does decontamination find, and what does it condemn wrongly? Sets the defaults of ``decontaminate``.

    python benchmarks/contamination.py --benchmarks SHARED/data/benchmarks --books SHARED/data/gutenberg

Requests made from real benchmark queries in known ways are looked for (recall), then requests and texts that have
nothing to do with the benchmarks (false alarms): the bundled samples, everyday requests from a grammar, each
benchmark's queries against the others, pages of books as answers. Side by side with the usual rules: one shared
13-gram or 8-gram, and datatrove's 12-gram, each on the same units. Last, the speed on answers of 250 words, one core.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from common import SAMPLES, print_table

from deepwriting.metrics.units import units
from deepwriting.schema import is_rejected
from deepwriting.sections.decontaminate import MIN_RUN_WORDS, MIN_SIMILARITY, MIN_WHOLE_WORDS, BenchmarkSection
from deepwriting.select.benchmarks import BenchmarkQuery, read_benchmark
from deepwriting.select.overlap import OverlapIndex
from deepwriting.sources import SOURCE_KINDS, GutenbergBook

#: Words put in the place of others; none is rare, as in a paraphrase.
OTHER_WORDS = (
    "simple", "great", "recent", "small", "local", "clear", "useful", "modern", "quick", "careful", "people", "place",
    "thing", "reason", "moment", "story", "matter", "point", "maybe", "really", "several", "within", "around", "toward",
)  # fmt: skip
OTHER_CHARACTERS = "好些新大小多少来去看想做用把被更最很也还再就都"
BEFORE = "I have been putting this off for a week and need some help before Friday. Here is what I was asked for. "
BEHIND = " Keep the tone friendly, and tell me at the end what you would change if there were more time."
BEFORE_ZH = "我最近很忙，想请你帮个忙，周五之前要交。下面是老师布置的内容："
BEHIND_ZH = "。语气自然一点，最后告诉我还有哪里可以改进。"
_HAN = re.compile(r"[\u4e00-\u9fff]")
_WORD = re.compile(r"[A-Za-z']+")
_NUMBERS = {"100": "one hundred", "200": "two hundred", "500": "five hundred", "1000": "one thousand", "1": "one"}

#: Everyday requests, nothing of which stands in a benchmark on purpose.
FORMS = (
    "Write a {length} {form} about {topic}{style}.", "Please write a {form} on {topic}, {length}{style}.",
    "Can you help me write a {form} about {topic}? It should be {length}.",
    "I need a {form} on the topic of {topic}. Requirements: 1. Be clear. 2. Be {length}. 3. Use examples{style}.",
    "You should write a well-structured {form} on the following topic. Topic: {topic}.",
    "Write a short {form} for my {reader} about {topic}{style}.",
)  # fmt: skip
LENGTHS = ("500-word", "1000 words long", "at least 800 words", "no less than 300 words", "short", "2,000 words")
KINDS = (
    "essay", "short story", "blog post", "speech", "thank you letter", "research report", "poem", "product description",
    "cover letter", "book review", "work summary", "news article", "dialogue between two people", "teaching plan",
)  # fmt: skip
TOPICS = (
    "the importance of sleep for students", "a lighthouse keeper who loses the light", "artificial minds in schools",
    "time travel", "climate change and small farms", "my grandmother's kitchen", "online shopping and local shops",
    "the first day at a new job", "why people keep dogs", "the history of tea", "remote work and loneliness",
    "a dragon who is afraid of fire", "electric cars in the city", "the spring festival in a small town",
    "social media and teenagers", "a teacher who retires after thirty years", "healthy food on a small budget",
)  # fmt: skip
STYLES = (
    "",
    " in a formal tone",
    " with humour",
    ", with an introduction, a body and a conclusion",
    " in simple words",
)
READERS = ("class", "boss", "neighbours", "younger brother", "readers", "customers")
FORMS_ZH = (
    "请写一篇关于{topic}的{form}，不少于{length}字。", "帮我写一份{form}，主题是{topic}，{length}字左右。",
    "以{topic}为题写一篇{form}，要求语言流畅，结构清晰，字数{length}字以上。",
)  # fmt: skip
KINDS_ZH = (
    "作文",
    "演讲稿",
    "工作总结",
    "调查报告",
    "小说",
    "散文",
    "读后感",
    "活动策划方案",
    "朋友圈文案",
    "教学计划",
)
TOPICS_ZH = (
    "大学生消费习惯",
    "时间旅行",
    "环境保护",
    "我的外婆",
    "人工智能与教育",
    "春节的变化",
    "小镇上的邮局",
    "网络暴力",
)


def is_chinese(text: str) -> bool:
    """Whether a text is mostly Chinese."""
    return 5 * len(_HAN.findall(text)) > len(text)


def swapped(text: str, share: float, rng: random.Random) -> str:
    """A text with a share of its words (pairs of Chinese characters) put in other words."""
    if is_chinese(text):
        characters = list(text)
        places = [index for index in range(len(text) - 1) if _HAN.match(text[index]) and _HAN.match(text[index + 1])]
        for place in rng.sample(places, min(len(places), max(1, round(share * len(places) / 2)))):
            characters[place : place + 2] = rng.choices(OTHER_CHARACTERS, k=2)
        return "".join(characters)
    places = [found.span() for found in _WORD.finditer(text)]
    for begin, end in sorted(rng.sample(places, max(1, round(share * len(places)))), reverse=True):
        text = text[:begin] + rng.choice(OTHER_WORDS) + text[end:]
    return text


def renumbered(text: str, rng: random.Random) -> str:
    """A text with its numbers in words, or changed."""
    return re.sub(r"\d+", lambda found: _NUMBERS.get(found.group(), str(rng.randint(2, 9000))), text)


def embedded(text: str, rng: random.Random) -> str:
    """A text inside of a longer request."""
    return BEFORE_ZH + text + BEHIND_ZH if is_chinese(text) else BEFORE + text + BEHIND


def repunctuated(text: str, rng: random.Random) -> str:
    """A text in capitals, with other punctuation and other spaces."""
    return re.sub(r"\s+", "  ", re.sub(r"[,.;:，。；：]", " - ", text)).upper()


#: Ways of changing a query.
WAYS: dict[str, Callable[[str, random.Random], str]] = {
    "as it is": lambda text, rng: text,
    "case and punctuation": repunctuated,
    "other numbers": renumbered,
    "in a longer request": embedded,
    "5 % of words changed": lambda text, rng: swapped(text, 0.05, rng),
    "10 % of words changed": lambda text, rng: swapped(text, 0.10, rng),
    "20 % of words changed": lambda text, rng: swapped(text, 0.20, rng),
    "5 % changed, in a longer request": lambda text, rng: embedded(swapped(text, 0.05, rng), rng),
}


class OneGram:
    """The usual rule: one n-gram in common condemns.

    Args:
        queries: the benchmark queries.
        n: length of the n-grams.
    """

    def __init__(self, queries: Iterable[BenchmarkQuery], n: int):
        self.n = n
        self.grams = {gram for query in queries for gram in self._grams(query.text)}

    def _grams(self, text: str) -> Iterator[tuple[str, ...]]:
        found = units(text)
        return zip(*(found[start:] for start in range(self.n)), strict=False)

    def find(self, query: str, answer: str | None = None) -> bool:
        """Whether the query or the answer shares one."""
        return any(gram in self.grams for text in (query, answer or "") for gram in self._grams(text))


def read_all(folder: Path) -> list[BenchmarkQuery]:
    """The queries of all files in a folder, each file a benchmark."""
    files = sorted(folder.glob("*.jsonl"))
    return [q for file in files for q in read_benchmark(BenchmarkSection(name=file.stem, path=str(file), columns=None))]


def everyday_requests(count: int, rng: random.Random) -> list[str]:
    """Requests from the grammar, all different."""
    english = [
        form.format(length=length, form=kind, topic=topic, style=style, reader=reader)
        for form, length, kind, topic, style, reader in itertools.product(
            FORMS, LENGTHS, KINDS, TOPICS, STYLES, READERS
        )
    ]
    chinese = [
        form.format(length=length, form=kind, topic=topic)
        for form, length, kind, topic in itertools.product(FORMS_ZH, (300, 500, 800, 1000), KINDS_ZH, TOPICS_ZH)
    ]
    return rng.sample(sorted(set(english)), count) + sorted(set(chinese))


def sample_pairs() -> Iterator[tuple[str, str]]:
    """Queries and answers of the bundled samples."""
    for kind in SAMPLES:
        for doc in SOURCE_KINDS[kind](f"samples://{kind}", name=kind, license="CC0-1.0").run():
            if not is_rejected(doc.metadata):
                yield doc.metadata["query"], doc.text


def pages(books: Path) -> Iterator[str]:
    """Passages of books of about 250 words."""
    for file in sorted(books.glob("*.txt")):
        for doc in GutenbergBook(str(file), name="g", license="PD", max_chars=1_500).run():
            if not is_rejected(doc.metadata):
                yield doc.text


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder with the benchmarks' files (*.jsonl)")
    parser.add_argument("--books", type=Path, help="folder with Project Gutenberg books (*.txt)")
    parser.add_argument("--queries", type=int, default=400, help="queries to make requests from [%(default)s]")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    queries, rng = read_all(options.benchmarks), random.Random(options.seed)
    # Bare topics are looked for inside requests; a request that is one word is nobody's.
    asked = [query for query in queries if len(units(query.text)) >= 5]
    asked = rng.sample(asked, min(options.queries, len(asked)))

    def ours(min_run: int, min_whole: int, min_similarity: float) -> OverlapIndex:
        return OverlapIndex(queries, min_run=min_run, min_whole=min_whole, min_similarity=min_similarity)

    began = time.perf_counter()
    default = ours(MIN_RUN_WORDS, MIN_WHOLE_WORDS, MIN_SIMILARITY)
    print(f"{len(queries)} queries; index built in {time.perf_counter() - began:.2f} s")
    rules = {
        "default": default,
        "run 10": ours(10, MIN_WHOLE_WORDS, MIN_SIMILARITY), "run 13": ours(13, MIN_WHOLE_WORDS, MIN_SIMILARITY),
        "similar 0.5": ours(MIN_RUN_WORDS, MIN_WHOLE_WORDS, 0.5), "whole 8": ours(MIN_RUN_WORDS, 8, MIN_SIMILARITY),
        "13-gram": OneGram(queries, 13), "12-gram": OneGram(queries, 12), "8-gram": OneGram(queries, 8),
    }  # fmt: skip
    rows = []
    for way, change in WAYS.items():
        made = [change(query.text, rng) for query in asked]
        rows.append({"found, %": way, "of": len(made)} | {
            name: 100 * sum(bool(rule.find(text)) for text in made) / len(made) for name, rule in rules.items()
        })  # fmt: skip
    texts = list(pages(options.books)) if options.books else [answer for _, answer in sample_pairs()]
    quoted = [
        f"{texts[i % len(texts)]}\n\n“{q.text}” was the task.\n\n{texts[(i + 1) % len(texts)]}"
        for i, q in enumerate(asked)
    ]
    rows.append({"found, %": "quoted in an answer", "of": len(quoted)} | {
        name: 100 * sum(bool(rule.find("Tell me more.", text)) for text in quoted) / len(quoted)
        for name, rule in rules.items()
    })  # fmt: skip
    print_table(rows, dict.fromkeys(rules, ".1f"))

    everyday = everyday_requests(4_000, rng)
    clean: dict[str, list[tuple[str, str | None]]] = {
        "bundled samples": [(query, answer) for query, answer in sample_pairs()],
        "everyday requests": [(text, None) for text in everyday],
        "pages of books": [("Tell me more.", text) for text in texts],
    }
    rows = [
        {"false alarms": what, "of": len(pairs)}
        | {name: sum(bool(rule.find(*pair)) for pair in pairs) for name, rule in rules.items()}
        for what, pairs in clean.items()
    ]
    print()
    print_table(rows)
    for what, pairs in clean.items():
        for pair in pairs:
            if found := default.find(*pair):
                print(f"  {what}: {pair[0][:100]!r}: {found.sentence()}")
    others = []
    for name in sorted({query.benchmark for query in queries}):
        rest = OverlapIndex(
            [query for query in queries if query.benchmark != name],
            min_run=MIN_RUN_WORDS, min_whole=MIN_WHOLE_WORDS, min_similarity=MIN_SIMILARITY,
        )  # fmt: skip
        others += [(query, found) for query in queries if query.benchmark == name and (found := rest.find(query.text))]
    print(f"\nqueries of one benchmark that are found in another: {len(others)}")
    for query, found in others:
        print(f"  {query.benchmark} {query.row}: {query.text[:80]!r}: {found.sentence()}")

    answers = [
        " ".join((texts[i % len(texts)] + " " + texts[(i + 1) % len(texts)]).split()[:250]) for i in range(2_000)
    ]
    began = time.process_time()
    for text, answer in zip(itertools.cycle(everyday), answers):
        default.find(text, answer)
    print(f"\n{len(answers) / (time.process_time() - began):,.0f} pairs a second of CPU time, answers of 250 words")


if __name__ == "__main__":
    main()
