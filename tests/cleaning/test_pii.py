from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from datatrove.data import Document

from deepwriting.cleaning.pii import MaskPersonalData, luhn, mask

MASKED = [
    ("Write to ada.king@lovelace-society.co today.", "Write to [email] today.", {"email": 1}),
    ("a.b+c@mail.x-y.org, then d@e.fr", "[email], then [email]", {"email": 2}),
    ("请写信到ada@lovelace.name告诉我", "请写信到[邮箱]告诉我", {"email": 1}),
    ("from 84.17.44.100:8080 again", "from [IP address]:8080 again", {"ip": 1}),
    ("host 2a00:1450:4001:82a::200e answered", "host [IP address] answered", {"ip": 1}),
    ("Card 4111 1111 1111 1111, thanks", "Card [card number], thanks", {"card": 1}),
    ("card 5555-5555-5555-4444", "card [card number]", {"card": 1}),
    ("378282246310005", "[card number]", {"card": 1}),
    ("Call 415-867-5309 or ask @clerk_of_works.", "Call [phone number] or ask [username].", {"phone": 1, "handle": 1}),
    ("thanks to u/quill_north and /u/ada-99!", "thanks to [username] and [username]!", {"handle": 2}),
    ("@night.owl wrote: come", "[username] wrote: come", {"handle": 1}),
    ("感谢@读书人 的推荐", "感谢[用户名] 的推荐", {"handle": 1}),
    ("我的手机是13812345678，卡号4111111111111111", "我的手机是[电话号码]，卡号[卡号]", {"phone": 1, "card": 1}),
]
KEPT = [
    "Write to ada@example.com or bob@mail.example.org or c@host.test.",
    "from 192.168.0.10, 127.0.0.1 and 10.0.0.12",
    "see section 1.2.3.4 and version 10.2.3.4.5",
    "999.999.999.999",
    "at 12:30:45 and std::vector, a::b",
    "4111 1111 1111 1112",
    "ISBN 9783161484100",
    "0000 0000 0000 0000",
    "meet @ 5pm, @5pm, a @ b",
    "@property\ndef name(self):\n    return 1",
    "    @app.route('/x')\n    async def x(): ...",
    "@media print { a { color: red } }",
    "/**\n * @param name the name\n */",
    "```\n@dataclass_json\nnpm i @types/node\n```",
    "npm install @types/node",
    "https://example.org/@ada and mail@",
    "the ratio u/v of 3u/4",
    "r/WritingPrompts",
    "“No,” she said. “1-2-3, in 1998-2004.”",
]


@pytest.mark.parametrize(("text", "expected", "counts"), MASKED)
def test_personal_data_is_replaced_and_counted(text: str, expected: str, counts: dict[str, int]) -> None:
    assert mask(text) == (expected, counts)
    assert mask(expected) == (expected, {})


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert mask(text) == (text, {})


@pytest.mark.parametrize(
    "text", ["a-" * 30_000 + " @ x", "@" * 20_000, "1 " * 30_000, "a:" * 30_000 + "::", "1.2." * 15_000]
)
def test_long_runs_without_a_word_take_no_longer_than_prose(text: str) -> None:
    start = time.process_time()
    assert mask(text) == (text, {})
    assert time.process_time() - start < 2


def test_the_check_digit() -> None:
    assert luhn("79927398713")
    assert not any(luhn(f"7992739871{digit}") for digit in "012456789")


def test_a_row_has_the_total_and_the_kinds(cleaned: Callable[..., Document]) -> None:
    doc = cleaned(MaskPersonalData, "Mail a@b.fr or c@d.fr.", "Write as @ada_k, 84.17.44.100.")
    assert (doc.text, doc.metadata["query"]) == ("Mail [email] or [email].", "Write as [username], [IP address].")
    assert doc.metadata["pii_masked"] == 4
    provenance = json.loads(doc.metadata["provenance"])
    assert provenance == {"score": 3, "pii_masked": {"email": 2, "handle": 1, "ip": 1}}


def test_a_row_without_any_says_so_and_keeps_its_provenance(cleaned: Callable[..., Document]) -> None:
    doc = cleaned(MaskPersonalData, "Nothing here.", None)
    assert (doc.metadata["pii_masked"], doc.metadata["provenance"]) == (0, '{"score": 3}')
    assert doc.metadata["query"] is None


def test_kinds_are_chosen_by_the_recipe(cleaned: Callable[..., Document]) -> None:
    doc = cleaned(MaskPersonalData, "a@b.fr, @ada_k", pii_kinds=["handle"])
    assert (doc.text, doc.metadata["pii_masked"]) == ("a@b.fr, [username]", 1)
    assert "pii_masked" not in cleaned(MaskPersonalData, "a@b.fr", pii=False).metadata


def test_a_thinking_that_came_with_the_pair_is_masked_and_counted() -> None:
    metadata = {"query": "Write it.", "given_thinking": "Ada, a@b.fr, signs it. Or @ada_k?", "provenance": "{}"}
    (doc,) = MaskPersonalData().run([Document(text="Nothing here.", id="own/1", metadata=metadata)])
    assert doc.metadata["given_thinking"] == "Ada, [email], signs it. Or [username]?"
    assert doc.metadata["pii_masked"] == 2
