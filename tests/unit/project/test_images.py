"""Which images a file may ask for, and where the file is searched."""

from __future__ import annotations

import itertools

import pytest
from tests.unit.project.reading import CALLER, IMAGE, PROJECT, load, problem, problems, with_image

from gaovm import errors
from gaovm.project import config, context, images, names

DIGEST = "sha256:" + "ab" * 32


def refusal(text: str) -> errors.GaoError:
    """Return the error about an image that is readable but cannot be used."""
    with pytest.raises(errors.GaoError) as info:
        images.check(load(text))
    return info.value


def test_a_built_name_and_files_with_digests_are_fine() -> None:
    images.check(load(IMAGE))
    file = f'{{location: /k, digest: "{DIGEST}"}}'
    images.check(
        load(f'images: [{{location: /d.raw, digest: "{DIGEST}", kernel: {file}, initrd: {file}}}]')
    )


def test_an_error_about_an_unknown_name_lists_the_known_ones() -> None:
    error = refusal('images: [{location: "debian:99"}]\n')
    assert isinstance(error, errors.ImageUnknown)
    assert error.field == "images[0].location"
    assert error.message.startswith("c.yaml:1: images[0].location: unknown image 'debian:99'")
    assert "debian:12" in (error.remedy or "")


def test_a_name_without_a_build_for_the_architecture_or_kernel() -> None:
    with pytest.raises(errors.ImageUnknown, match="no architecture 'riscv64'"):
        images.check_name("debian:12", "riscv64", "generic")
    with pytest.raises(errors.ImageUnknown, match="no kernel 'tiny'") as info:
        images.check_name("debian:12", "x86_64", "tiny")
    assert info.value.field == "vmOpts.gaovm.kernel"


def test_a_digest_of_an_image_that_is_built_here_is_refused() -> None:
    error = refusal(f'images: [{{location: "debian:12", digest: "{DIGEST}"}}]')
    assert (type(error), error.field) == (errors.ConfigError, "images[0].digest")


@pytest.mark.parametrize(
    "entry",
    [
        "location: /d.raw",
        "location: https://e.org/d.qcow2.xz",
        "location: /d, kernel: {location: /k}, initrd: {location: /i}",
    ],
)
def test_a_location_needs_no_digest(entry: str) -> None:
    """The first download pins it."""
    images.check(load(f"images: [{{{entry}}}]"))


def test_a_path_is_relative_to_the_project() -> None:
    places = {"./d.qcow2": f"{PROJECT}/d.qcow2", "../x/d.raw": "/home/ann/x/d.raw"}
    for written, meant in places.items():
        assert load(f"images: [{{location: {written}}}]").spec.image.location == meant


def test_the_images_that_follow_are_kept_for_a_failure() -> None:
    loaded = load(
        "images:\n- {location: /a, arch: x86_64}\n- {location: /b, arch: aarch64}\n"
        f"- {{location: /c, digest: '{DIGEST}'}}\n- location: 'debian:12'\n"
    )
    assert [each.location for each in loaded.spec.image.choices] == ["/a", "/c", "debian:12"]
    assert loaded.spec.image.choices[1].digest == DIGEST
    bad = "images:\n- location: /a\n- location: 'debian:99'\n"
    assert isinstance(refusal(bad), errors.ImageUnknown)


def test_a_given_name_overrides_the_files() -> None:
    text = with_image("vmOpts: {gaovm: {name: web}}")

    def loaded(given: bool) -> config.Loaded:
        host = context.Host("x86_64", "/g/vms/p-dev")
        return config.load(text, "c.yaml", CALLER, PROJECT, "p-dev", host, given=given)

    assert loaded(given=True).spec.name == "p-dev"
    assert loaded(given=False).spec.name == "web"
    host = context.Host("x86_64", "/g/vms/p-dev")
    unnamed = config.load(IMAGE, "c.yaml", CALLER, PROJECT, "p-dev", host, given=False)
    assert unnamed.spec.name == "p-dev"
    bad = with_image('vmOpts: {gaovm: {name: "a b"}}')
    with pytest.raises(errors.ConfigError, match="name"):
        config.load(bad, "c.yaml", CALLER, PROJECT, "p-dev", host, given=False)


def test_directories_of_the_same_name_get_numbers() -> None:
    assert list(itertools.islice(names.of_directories("/x/Web"), 3)) == [
        *("web-dev", "web-2-dev", "web-3-dev")
    ]
    long = list(itertools.islice(names.of_directories("/" + "n" * 100), 2))
    assert [len(name) for name in long] == [names.MAX_LENGTH] * 2
    assert long[1].endswith("-2-dev")


def test_a_problem_names_its_line_even_deep_in_the_file() -> None:
    loaded = load(
        'images:\n  - location: "debian:12"\nmounts:\n  - location: /x\n    mountPoint: /y\n'
    )
    assert loaded.place("mounts[0].mountPoint") == "c.yaml:5: mounts[0].mountPoint"
    assert loaded.place("mounts[0].writable") == "c.yaml:4: mounts[0].writable"
    assert loaded.place("env.A") == "c.yaml:1: env.A"


def test_a_path_with_a_control_character_is_a_problem() -> None:
    assert "control character" in problem(with_image('mounts: [{location: "/a\\x01b"}]'))


def test_a_single_nul_in_the_file_is_a_problem_with_its_line() -> None:
    [found] = problems("images: []\n# \x00\n")
    assert "not valid YAML" in found
