"""What is written takes its place whole, and a failure leaves what was there."""

import pytest

from retrieval_heads.whole import whole_file, whole_folder


def fill(path, text):
    file = path / "file" if path.is_dir() else path
    file.write_text(text)


def text_of(path):
    return (path / "file" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("whole", [whole_file, whole_folder])
def test_what_was_there_stays_until_all_is_written(whole, tmp_path):
    target = tmp_path / "deeper" / "target"
    with whole(target) as path:
        fill(path, "old")
    with pytest.raises(KeyboardInterrupt), whole(target) as path:
        fill(path, "new")
        assert text_of(target) == "old"
        raise KeyboardInterrupt
    assert text_of(target) == "old"
    with whole(target) as path:
        fill(path, "new")
    assert text_of(target) == "new"
    assert list(target.parent.iterdir()) == [target]
