"""What may be read through the pages, what is remembered, and what the manual shows."""

import asyncio
import os
import time

import pytest
from gui_app import visiting
from job_helpers import many

from isonet2.data.run_folder import networks, previews
from isonet2.errors import InputError
from isonet2.gui import documents
from isonet2.gui.advice import kind_of_failure
from isonet2.gui.components.browser import listing
from isonet2.gui.components.log_view import AT_ONCE, FIRST, coloured, read_on
from isonet2.gui.components.notifier import ended
from isonet2.gui.overview import Entry, bytes_in_words, duration, entries
from isonet2.gui.project import Project, Remembered
from isonet2.gui.run_files import curves, parameters_compared, smoothed
from isonet2.gui.trash import empty, trash_of
from isonet2.jobs import Jobs, start


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return Project.at(tmp_path / "project")


@pytest.mark.parametrize(
    "path",
    [
        "../secret.mrc",
        "a/../../secret.mrc",
        "/etc/passwd",
        "~/x.mrc",
        ".isonet/gui_access.json",
        "a/../.isonet/gui.json",
    ],
)
def test_nothing_outside_the_project_is_read(place, path):
    with pytest.raises(InputError):
        place.allowed(path)


def test_links_inside_the_project_lead_outside_on_purpose_but_not_to_the_programs_own(place):
    data = place.folder.parent / "data"
    data.mkdir()
    (place.folder / "linked").symlink_to(data)
    assert place.allowed("linked/x.mrc") == place.folder / "linked" / "x.mrc"
    (place.folder / ".isonet").mkdir()
    (place.folder / "way").symlink_to(place.folder / ".isonet")
    with pytest.raises(InputError, match="the program's own"):
        place.allowed("way/gui_access.json")


def test_a_folder_that_a_person_named_is_read_and_its_neighbours_are_not(place):
    data = place.folder.parent / "data"
    place.settings.put("roots", [str(data)])
    assert place.allowed(data / "x.mrc") == data / "x.mrc"
    with pytest.raises(InputError):
        place.allowed(f"{data}2/x.mrc")
    with pytest.raises(InputError):
        place.allowed(data / ".." / "x.mrc")


def asked(place, *paths):
    """Answers to requests of somebody who has logged in."""

    async def through():
        async with visiting(place) as user:
            return [await user.http_client.get(path) for path in paths]

    return asyncio.run(through())


def test_only_harmless_files_of_the_project_are_handed_out(place):
    for name in ("a.png", "a.html", "a.svg", "a.py"):
        (place.folder / name).write_text("<script>")
    (place.folder.parent / "b.png").write_text("")
    paths = ["a.png", "a.html", "a.svg", "a.py", "../b.png", "..%2fb.png", "%2e%2e/b.png", "c.png"]
    answers = asked(place, *(f"/api/file?path={path}" for path in paths))
    assert [answer.status_code for answer in answers] == [200, 403, 403, 403, 403, 403, 403, 404]
    assert answers[0].headers["content-type"] == "image/png"
    odd = asked(place, "/documents/pictures/..%2f..%2fpyproject.toml", "/api/log/7", "/api/log/x")
    assert [answer.status_code for answer in odd] == [404, 404, 422]


def test_a_page_asks_no_other_host(place):
    for path in ("/", "/jobs", "/prepare", "/refine", "/documents"):
        (page,) = asked(place, path)
        text = page.text.replace("http://www.w3.org", "")
        for beginning in (
            'src="http',
            "src='http",
            'href="http',
            "url(http",
            'src="//',
            'href="//',
        ):
            if path != "/documents":
                assert beginning not in text, (path, beginning)


def test_settings_survive_a_broken_file_and_a_disk_that_refuses(place, monkeypatch):
    kept = Remembered(place.folder / ".isonet" / "x.json")
    kept.put("a", {"b": "ü"})
    assert Remembered(kept.path).get("a") == {"b": "ü"}
    kept.path.write_text("{broken")
    assert kept.read() == {}
    kept.put("c", 1)
    assert kept.read() == {"c": 1}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"No space left.*not kept"):
        kept.put("c", 2)
    assert kept.read() == {"c": 1}


def test_folders_are_listed_without_hidden_files(place):
    (place.folder / "EVN").mkdir()
    for name in ("a.star", "b.MRC", ".hidden.star"):
        (place.folder / name).write_text("")
    assert listing(place.folder, (".star",)).files == ("a.star",)
    assert listing(place.folder, folders_only=True) == listing(place.folder, (".none",))
    assert listing(place.folder).folders == ("EVN",)
    with pytest.raises(InputError, match="cannot be opened"):
        listing(place.folder / "gone")


def test_a_log_is_read_by_offsets_and_anew_when_it_shrank(place):
    path = place.folder / "log.txt"
    assert read_on(path, 0) == (b"", 0)
    path.write_bytes(b"one\n")
    part, offset = read_on(path, 0)
    assert (part, offset) == (b"one\n", 4)
    path.write_bytes(b"one\ntwo\n")
    assert read_on(path, offset) == (b"two\n", 8)
    path.write_bytes(b"new\n")
    assert read_on(path, 8) == (b"new\n", 4)


def test_of_a_long_log_the_end_is_shown_first(place):
    path = place.folder / "log.txt"
    path.write_bytes(b"x" * FIRST + b"the end")
    part, offset = read_on(path, 0)
    assert len(part) == FIRST
    assert part.endswith(b"the end")
    assert offset == FIRST + 7
    with path.open("ab") as handle:
        handle.write(b"y" * (AT_ONCE + 5))
    part, offset = read_on(path, offset)
    assert len(part) == AT_ONCE


def test_warnings_and_errors_stand_out_in_the_log():
    text = coloured(b"fine\nWARNING: low\n87% done\nERROR: bad\n")
    assert b"\x1b[33mWARNING: low\x1b[0m" in text
    assert b"\x1b[91mERROR: bad\x1b[0m" in text
    assert text.startswith(b"fine\n")
    assert b"\n87% done\n" in text


@pytest.mark.parametrize(
    ("reason", "lines", "kind"),
    [
        ("exit status 1", ["torch.OutOfMemoryError: CUDA out of memory. Tried"], "gpu_memory"),
        ("ended by SIGKILL, as the system does when memory runs out", [], "memory"),
        ("exit status 2", ["OSError: [Errno 28] No space left on device"], "disk"),
        ("exit status 2", ["isonet.py: x.star: no such file; make one"], "file"),
        ("the scheduler says TIMEOUT", [], "time"),
        ("exit status 2", ["ERROR: TS_01: t.star holds no defocus of it; fill in"], "defocus"),
        ("exit status 3: something else", [], ""),
    ],
)
def test_what_went_wrong_is_told_from_the_last_words(reason, lines, kind):
    assert kind_of_failure(reason, lines) == kind


def test_curves_of_a_run_that_is_writing_them_are_read(place):
    (place.folder / "history.csv").write_text("epoch,loss,held_out\n1,0.5,\n2,0.25,0.3\n")
    (place.folder / "history_bad.csv").write_text("")
    found = curves(place.folder)
    assert list(found) == ["history"]
    assert found["history"]["loss"] == [0.5, 0.25]
    assert found["history"]["held_out"][1] == 0.3
    assert found["history"]["held_out"][0] != found["history"]["held_out"][0]


def test_a_smoothed_line_stays_a_line_and_noise_shrinks():
    line = [[n, 3.0 - 0.5 * n] for n in range(7)]
    assert smoothed(line) == line
    peak = [[n, float(n == 3)] for n in range(7)]
    assert [value for _, value in smoothed(peak)] == pytest.approx([0, 0, 0.2, 0.2, 0.2, 0, 0])
    assert smoothed([]) == []


def test_previews_are_in_the_order_of_epochs_and_networks_with_the_last_first(place):
    for epoch in (10, 2):
        (place.folder / f"TS_01_epoch{epoch}.png").write_text("")
        (place.folder / f"network_n2n_unet-small_32_epoch{epoch}_full.pt").write_text("")
    (place.folder / "TS_01_epoch10.mrc").write_text("")
    (place.folder / "network_n2n_unet-small_32_full.pt").write_text("")
    found = previews(place.folder)
    assert [(preview.name, preview.epoch) for preview in found] == [("TS_01", 2), ("TS_01", 10)]
    assert [preview.volume is None for preview in found] == [True, False]
    assert networks(place.folder)[0].name == "network_n2n_unet-small_32_full.pt"


def test_differences_between_jobs_are_found():
    rows = parameters_compared([{"a": 1, "b": None}, {"a": 2, "c": "x"}])
    assert rows == [("a", ["1", "2"], True), ("b", ["", ""], False), ("c", ["", "x"], True)]


def test_what_has_ended_since_the_last_look_is_told_once():
    entry = Entry("3", "t", "p", "k", "succeeded", "", -1.0)
    assert ended({"3": "running"}, [entry]) == [entry]
    assert ended({"3": "succeeded"}, [entry]) == []
    assert ended({}, [entry]) == []


def test_times_and_sizes_are_said_as_people_say_them():
    assert [duration(s) for s in (5, 65, 400, 12_000, 180_000)] == [
        "5 s", "1 min 5 s", "6 min", "3 h 20 min", "2 d 2 h",
    ]  # fmt: skip
    assert [bytes_in_words(n) for n in (0, 999, 1500, 2.5e9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 GB",
    ]


def test_the_trash_says_its_size_and_leaves_alone_what_links_lead_to(place, monkeypatch):
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    outside = place.folder.parent / "precious.mrc"
    outside.write_text("data")
    jobs = Jobs(place.folder)
    job = jobs.submit_program(["true"])
    (job.folder / "link.mrc").symlink_to(outside)
    (job.folder / "big.bin").write_bytes(b"x" * 5000)
    jobs.cancel(1)
    jobs.remove(1)
    found = trash_of(place)
    assert len(found.folders) == 1
    assert 5000 <= found.size < 10_000
    empty(found)
    assert not trash_of(place).folders
    assert outside.read_text() == "data"


def test_a_thousand_jobs_are_listed_quickly(place, monkeypatch):
    """In 150 ms on a quiet machine; here the processor's time counts, which others do not take."""
    monkeypatch.setattr(start, "dispatcher", lambda project: None)
    jobs = Jobs(place.folder)
    many(jobs, 1000)
    took = []
    for _ in range(3):
        begin = time.process_time()
        found = entries(jobs)
        took.append(time.process_time() - begin)
    assert len(found) == 1000
    assert min(took) < 0.08, f"1000 jobs took {min(took):.2f} s of a processor"


def test_the_manual_is_there_and_its_links_lead_to_its_pages():
    place = documents.folder()
    assert place is not None
    known = documents.pages(place)
    assert next(iter(known)) == "README"
    assert documents.title(known["README"]) == "IsoNet2"
    text = documents.text(known["README"], known, "/prefix")
    assert "](/prefix/documents?page=questions)" in text
    assert "](docs/questions.md)" not in text
