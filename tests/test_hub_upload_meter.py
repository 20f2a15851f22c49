"""How far an upload is: rate, time left, and a stall that is told."""

from cotforge.hub.upload_meter import UploadMeter, clock_time, in_bytes


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rate_and_time_left_are_of_the_last_half_minute() -> None:
    meter = UploadMeter(clock := Clock())
    meter.begin_phase("uploading", 1_000_000_000)
    for second in range(1, 61):
        clock.now = float(second)
        meter.set_place("a", second * (1_000_000 if second <= 20 else 10_000_000))
        line = meter.progress_line()
    assert line == "uploading: 60% of 1.0 GB, 10.0 MB/s, about 0:40 left"


def test_a_file_that_is_sent_again_counts_once() -> None:
    meter = UploadMeter(Clock())
    meter.begin_phase("uploading", 100)
    meter.set_place("a", 40)
    meter.set_place("b", 10)
    meter.set_place("a", 0)
    assert meter.progress_line().startswith("uploading: 10% of 100 B")


def test_a_stall_is_told_with_what_the_client_last_said_and_what_to_do() -> None:
    meter = UploadMeter(clock := Clock())
    meter.begin_phase("uploading", 100)
    meter.set_place("a", 40)
    meter.add_note("the Hub answered 503; trying again in 4 s")
    assert meter.progress_line().endswith("; the Hub answered 503; trying again in 4 s")
    clock.now = 59
    assert meter.progress_line() == "uploading: 40% of 100 B, 0 B/s"
    clock.now = 75
    assert "no byte has moved for 1:15 (the Hub answered 503; trying again in 4 s)" in meter.progress_line()
    assert "--no-xet" in meter.progress_line()
    meter.set_place("a", 41)
    assert "no byte" not in meter.progress_line()


def test_sizes_and_times_are_short() -> None:
    assert [in_bytes(size) for size in (0, 999, 1_000, 123_456, 3_100_000_000)] == ["0 B", "999 B", "1.0 kB", "123 kB", "3.1 GB"]
    assert [clock_time(seconds) for seconds in (0, 73, 3_733)] == ["0:00", "1:13", "1:02:13"]
