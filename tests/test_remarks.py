import logging

from isonet2.reports.remarks import gathered, grouped

NAMES = ["TS_1", "TS_10", "TS_2"]


def test_what_is_true_of_several_tomograms_is_said_once():
    texts = [
        "TS_1: was deconvolved before",
        "a/TS_1_mask.mrc: keeps 97.5 % of TS_1",
        "TS_10: was deconvolved before",
        "a/TS_10_mask.mrc: keeps 99 % of TS_10",
        "nothing to do with any of them",
        "TS_2: was deconvolved before",
    ]
    assert grouped(texts, NAMES) == [
        "3 remarks before training:",
        "TS_1: was deconvolved before (likewise TS_10, TS_2)",
        "a/TS_1_mask.mrc: keeps 97.5 % of TS_1 (likewise TS_10)",
        "nothing to do with any of them",
    ]
    assert grouped(texts[:1], NAMES) == texts[:1]
    assert grouped([], []) == []
    assert grouped(["TS_10 is said"], ["TS_1"]) == ["TS_10 is said"]


def test_warnings_wait_until_the_block_ends_and_nothing_else_does(caplog):
    log = logging.getLogger("isonet2.some.room")
    caplog.set_level("INFO", logger="isonet2")
    try:
        with gathered(NAMES):
            log.warning("%s: the same", "TS_1")
            log.info("opening")
            log.warning("%s: the same", "TS_2")
            log.error("at once")
            assert [record.getMessage() for record in caplog.records] == ["opening", "at once"]
            raise KeyError
    except KeyError:
        pass
    assert caplog.messages[2:] == ["TS_1: the same (likewise TS_2)"]
    assert caplog.records[-1].levelname == "WARNING"
