"""The last line of a terminal during a build."""

from __future__ import annotations

import io

import pytest

from compiler.cli.meter import Meter
from compiler.cli.output import Output

_WIPED = "\r\x1b[K"
LINE = "small: quantize int4 (2/2)"


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def terminal() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def meter(terminal: io.StringIO, clock: _Clock, monkeypatch: pytest.MonkeyPatch) -> Meter:
    monkeypatch.setenv("COLUMNS", "80")
    return Meter(lambda line: terminal.write(line + "\n") and None, terminal, clock)


@pytest.mark.parametrize(
    ("share", "elapsed", "shown"),
    [
        (0.0, 50.0, "0 %"),
        (0.5, 0.5, "50 %"),
        (0.25, 10.0, "25 %, about 30 s left"),
        (0.999, 10.0, "99 %, about 1 s left"),
        (0.1, 60.0, "10 %, about 9 min left"),
        (0.01, 90.0, "1 %, about 2 h 28 min left"),
    ],
)
def test_share_and_time_left(
    meter: Meter, terminal: io.StringIO, clock: _Clock, share: float, elapsed: float, shown: str
) -> None:
    meter.begin(LINE)
    clock.now += elapsed
    meter.advance(LINE, share)
    assert terminal.getvalue() == f"{LINE}\n{_WIPED}{LINE} {shown}"


def test_it_is_drawn_ten_times_a_second_at_most(meter: Meter, terminal: io.StringIO, clock: _Clock) -> None:
    meter.begin(LINE)
    for step in range(100):
        meter.advance(LINE, step / 100)
        clock.now += 1 / 64
    assert terminal.getvalue().count(_WIPED) == 15


def test_a_line_that_stays_takes_its_place(meter: Meter, terminal: io.StringIO) -> None:
    meter.begin(LINE)
    meter.advance(LINE, 0.5)
    meter.begin("next")
    meter.advance(LINE, 1.0)
    assert terminal.getvalue() == f"{LINE}\n{_WIPED}{LINE} 50 %{_WIPED}next\n"


def test_several_at_once_fit_the_terminal(meter: Meter, terminal: io.StringIO, clock: _Clock) -> None:
    meter.advance("b", 0.5)
    clock.now += 0.2
    meter.advance("a", 0.25)
    clock.now += 0.2
    meter.advance("c" * 100, 0.25)
    assert terminal.getvalue().split(_WIPED)[1:] == ["b 50 %", "a 25 %; b 50 %", ("a 25 %; b 50 %; " + "c" * 100)[:79]]


def test_at_the_end_nothing_of_it_is_left(meter: Meter, terminal: io.StringIO) -> None:
    meter.begin(LINE)
    meter.advance(LINE, 0.5)
    meter.close()
    meter.close()
    assert terminal.getvalue().endswith(f"50 %{_WIPED}")


def test_without_a_terminal_there_are_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    for output, said in ((Output(), f"{LINE}\n"), (Output(json=True), "")):
        with output.meter() as meter:
            meter.begin(LINE)
            meter.advance(LINE, 0.5)
        assert capsys.readouterr() == ("", said)
