"""Quantities, both ways."""

from __future__ import annotations

import pytest

from compiler.base.units import exact_bytes, parse_bytes, parse_ratio, show_bytes, show_ratio


@pytest.mark.parametrize(
    ("text", "count"),
    [("450MiB", 471859200), ("1.5GiB", 1610612736), ("1 kB", 1000), ("0B", 0), ("2TB", 2 * 10**12), ("64 KiB", 65536)],
)
def test_sizes(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (1001, "1001B"), (2**32, "4GiB"), (8 * 10**9, "8GB"), (3 * 2**29, "1536MiB"), (2**40, "1TiB")],
)
def test_exact_sizes(count: int, text: str) -> None:
    assert exact_bytes(count) == text
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "450", "450M", "450mib", "-1MiB", "1,5GiB", "MiB", "1e3MiB", "٣MiB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="a size is a number with one of the units B, kB, MB"):
        parse_bytes(text)


@pytest.mark.parametrize(("text", "share"), [("95%", 0.95), ("0.95", 0.95), ("100 %", 1.0), ("0", 0.0)])
def test_shares(text: str, share: float) -> None:
    assert parse_ratio(text) == share


@pytest.mark.parametrize("text", ["", "%", "-5%", "95 percent", "0.95x"])
def test_no_shares(text: str) -> None:
    with pytest.raises(ValueError, match="a share is a percentage such as 95%"):
        parse_ratio(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (471859200, "450.0 MiB"), (2**50, "1024.0 TiB")],
)
def test_shown_sizes(count: int, text: str) -> None:
    assert show_bytes(count) == text


def test_shown_share() -> None:
    assert show_ratio(0.95312) == "95.3%"
