"""Values that programs stumble over: numbers, texts, paths and markup."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

MARKUP = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}${alert(1)}{% raw %}",
    "' onmouseover='alert(1)' \"",
    "<!--<script>",
    "]]><x/>",
    '=HYPERLINK("http://127.0.0.1:9/")',
    "[bold red]rich[/] [/]",
)
PATHS = (
    "..",
    "../../outside/secret.png",
    "../outside/secret.png",
    "/etc/passwd",
    "%2e%2e/%2e%2e/outside/secret.png",
    "..%2foutside%2fsecret.png",
    "%252e%252e/outside/secret.png",
    "file:///etc/passwd",
    "file:outside",
    "\\\\server\\share\\page.png",
    "C:\\Windows\\win.ini",
    "a/../../outside/secret.png",
    "page.png\x00.json",
    ".",
    "/",
    "~",
    "~root/x",
    "link/secret.png",
    "loop",
    "/dev/zero",
    "/proc/self/environ",
    "a" * 300,
    "a/" * 3000,
    "-rf",
    "*.png",
    "http://127.0.0.1:9/page.png",
    "//127.0.0.1:9/page.png",
    "/data/local-files/?d=../../../outside/secret.png",
    "/data/local-files/?d=%2e%2e/%2e%2e/outside/secret.png",
    "/data/upload/1/..%2f..%2fsecret.png",
    "data:image/png;base64,AAAA",
    "data:text/html,<script>alert(1)</script>",
)
ODD = (
    "",
    " ",
    "\x00",
    "\x1b[31mred\x1b]0;title\x07",
    "\r\n\t\x0b\x7f\x85",
    "\ud800",
    "half \udc00 pair",
    "\udcff",
    "\ufeff\ufffe\uffff",
    "\u202e\u2066 txet \u2028\u2029",
    "e\u0301" * 50,
    "\N{ARABIC LIGATURE BISMILLAH AR-RAHMAN AR-RAHEEM}" * 20,
    "\U0001f9d1\u200d\U0001f680" * 5,
    "İıſK",
    "٣٤٥ ² ½ Ⅷ",
    "NaN",
    "1e999",
    "0x10",
    "-1",
    "null",
    "['a' 'b']",
    "[" * 5000,
    "None",
    "train",
    "2026-13-45T99:99:99Z",
    "0000-00-00",
    "gold:x",
    "proposal:",
    "label-studio:",
    "label-studio:1",
)
HUGE = "huge "
NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    1,
    -0.0,
    0.5,
    1.5,
    99,
    255,
    2**31 - 1,
    2**31,
    -(2**31) - 1,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    2**64,
    10**400,
    1e308,
    -1e308,
    5e-324,
    float("nan"),
    float("inf"),
    float("-inf"),
)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": None}, {"a": {"b": []}}, [0, 0, 0, 0])


def text(random: Random) -> str:
    """A text that is markup, a path, odd, or (seldom) of a megabyte."""
    if random.random() < 0.03:
        return HUGE * 200_000
    return random.choice(random.choice((MARKUP, PATHS, ODD)))


def number(random: Random) -> Any:
    """A number at an edge of something."""
    return random.choice(NUMBERS)


def anything(random: Random) -> Any:
    """A value of any type."""
    return random.choice((text(random), number(random), copy.deepcopy(random.choice(OTHERS))))


def near(random: Random, value: Any) -> Any:
    """A value of the same type that is a little or very much beside."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        if abs(value) > 1e15:
            return number(random)
        return random.choice((-value, value + 1, value - 1, value * 1e6, value / 1e6, number(random)))
    if isinstance(value, str):
        added = text(random)
        return random.choice((added, value + added, added + value, value[:-1], value.upper(), value * 2))
    return anything(random)
