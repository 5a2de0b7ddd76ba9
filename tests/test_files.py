"""Files appear whole or not at all."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infra_orch.files import private_folder, write_atomically, write_if_different


def test_a_reader_sees_the_old_content_or_the_new(tmp_path: Path) -> None:
    path, texts = tmp_path / "file", [letter * 100_000 for letter in "ab"]
    path.write_text(texts[0])
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        write_atomically(path, texts[number % 2], durable=False)
    stop.set()
    reader.join()
    assert seen <= set(texts)


def test_nothing_is_left_where_the_disk_is_full(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the write fails half-way in the same manner."""
    path = tmp_path / "file"
    path.write_text("old")
    code = (
        "import resource, signal, sys; from pathlib import Path; from infra_orch.files import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "write_atomically(Path(sys.argv[1]), 'x' * 100_000)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "OSError: [Errno 27] File too large" in done.stderr
    assert [(found.name, found.read_text()) for found in tmp_path.glob("*[!r]") if found.is_file()] == [("file", "old")]


def test_the_mode_is_what_was_asked_for_whatever_the_file_had(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o666)
    write_atomically(path, "new", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_holds_it_already_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file"
    assert write_if_different(path, "text")
    before = path.stat()
    assert not write_if_different(path, b"text")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", "ours")
    assert ((tmp_path / "target").read_text(), (tmp_path / "link").is_symlink()) == ("theirs", False)


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), "text")
    assert [len(path.name) for path in tmp_path.glob("x*")] == [255]


def test_a_private_folder_is_made_private_again(tmp_path: Path) -> None:
    folder = tmp_path / "a/private"
    folder.mkdir(parents=True, mode=0o777)
    folder.chmod(0o755)
    assert private_folder(folder).stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        private_folder(tmp_path / "file/folder")
