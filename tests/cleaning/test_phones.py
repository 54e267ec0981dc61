from __future__ import annotations

import pytest

from deepwriting.cleaning.phones import phone_numbers

NUMBERS = [
    ("Call (415) 867-5309 before noon.", "(415) 867-5309"),
    ("Call 415-867-5309.", "415-867-5309"),
    ("My number is 212.867.5309, ask for Ines.", "212.867.5309"),
    ("+1 (650) 253-0000", "+1 (650) 253-0000"),
    ("phone: 2128675309", "2128675309"),
    ("text me at 4158675309 tonight", "4158675309"),
    ("+44 20 7946 1958", "+44 20 7946 1958"),
    ("Ring 020 8366 1177 and wait.", "020 8366 1177"),
    ("07911 123456", "07911 123456"),
    ("00 44 7911 123456", "00 44 7911 123456"),
    ("+49 30 2093 70333 in Berlin", "+49 30 2093 70333"),
    ("+33 1 42 68 53 00", "+33 1 42 68 53 00"),
    ("我的手机是13812345678", "13812345678"),
    ("电话：138-1234-5678", "138-1234-5678"),
    ("请拨打010-62345678。", "010-62345678"),
    ("(021) 62345678 找李老师", "(021) 62345678"),
    ("+86 138 1234 5678", "+86 138 1234 5678"),
]
OTHERS = [
    "in 1998-2004 and 2001", "1984 1985 1986 1987", "(1914-1918), 1939-1945", "ISBN 978-3-16-148410-0",
    "ISBN 0-306-40615-2", "1-2-3", "one, 1 2 3 4 5 6 7 8 9, ten", "10 000 000 people", "10,000,000 people",
    "on 2024-03-12 12:30", "20240312", "12/03/2024 - 14/03/2024", "03.12.2024", "the score was 100-98, 345-678",
    "$1,234,567.89", "£1234567890", "3.14159265358979", "order 2345678901", "serial 4155551234 on the back",
    "pages 123-4567", "room 867-5309", "51.5074, -0.1278", "192.168.100.200", "4111 1111 1111 1111",
    "编号110101199003071234", "1234567890%", "QQ群 123456789", "x=2128675309;", "12345678901234567890",
    "Psalm 119:105-112, 121-128",
]  # fmt: skip
LEFT = [
    "Call 212-555-0143 now.", "(415) 555-0100", "+1 202 555 0199",  # reserved for fiction in North America
    "07700 900123", "020 7946 0018",  # Ofcom's numbers for drama
    "1-800-273-8255", "0800 1111 222",  # belong to no person
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_numbers_are_found(text: str, number: str) -> None:
    assert [text[start:end] for start, end in phone_numbers(text)] == [number]


@pytest.mark.parametrize("text", [*OTHERS, *LEFT])
def test_other_numbers_stay(text: str) -> None:
    assert phone_numbers(text) == []
