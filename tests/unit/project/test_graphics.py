"""The display in the project file: Lima's keys, our own keys, and refused combinations."""

from __future__ import annotations

import pytest
from tests.unit.project.reading import IMAGE, load, problem, with_image

from gaovm.spec.graphics import Graphics


def own(text: str) -> str:
    return with_image(f"vmOpts: {{gaovm: {{graphics: {text}}}}}")


def test_a_vm_has_no_display_unless_the_file_asks_for_one() -> None:
    assert load(IMAGE).spec.graphics == Graphics()
    assert not load(IMAGE).spec.graphics.enabled


@pytest.mark.parametrize(("word", "enabled"), [("none", 0), ("default", 1), ("vnc", 1), ('""', 0)])
def test_limas_key(word: str, enabled: int) -> None:
    loaded = load(with_image(f"video: {{display: {word}}}"))
    assert loaded.spec.graphics.enabled is bool(enabled)
    assert loaded.warnings == ()


def test_a_window_of_qemu_is_a_warning() -> None:
    loaded = load(with_image("video: {display: 'gtk,gl=on', vnc: {display: ':1'}}"))
    assert loaded.spec.graphics.enabled
    assert [line.split(": ")[1] for line in loaded.warnings] == ["video.vnc", "video.display"]
    assert "in GaoVM's own window" in loaded.warnings[1]
    unknown = load(with_image("video: {display: hologram}"))
    assert not unknown.spec.graphics.enabled
    assert "stays headless; `default` gives it a display" in unknown.warnings[0]


def test_our_own_keys() -> None:
    graphics = load(own("{enabled: true, width: 64, height: 8192}")).spec.graphics
    assert graphics == Graphics(enabled=True, width=64, height=8192)
    assert load(own("{width: 800}")).spec.graphics == Graphics(width=800)


def test_our_own_keys_take_precedence_over_limas() -> None:
    both = "video: {display: vnc}\n" + own("{enabled: false}")
    assert not load(both).spec.graphics.enabled


def test_sizes_are_bounded() -> None:
    message = problem(own("{width: 63}"))
    assert "vmOpts.gaovm.graphics.width: expected a number from 64 to 8192, found 63" in message
    assert "height" in problem(own("{height: 8193}"))
    assert "true or false" in problem(own("{enabled: 1}"))
    assert "unknown field" in problem(own("{depth: 24}"))


def test_a_display_that_kernel_or_board_lack_is_a_problem() -> None:
    for extra in ("kernel: cloud", "machine: microvm"):
        text = f"vmOpts: {{gaovm: {{{extra}, graphics: {{enabled: %s}}}}}}"
        assert "display" in problem(with_image(text % "true"))
        assert not load(with_image(text % "false")).spec.graphics.enabled
