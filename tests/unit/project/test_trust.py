"""``caCerts``: certificates from the file and from files."""

from __future__ import annotations

import base64

import pytest
from tests.unit.project.reading import IMAGE, Files, load, problem, with_image

from gaovm.project.lima import embedding

BODY = base64.b64encode(b"\x30\x82" + bytes(range(100))).decode()
LINES = "\n".join((BODY[:64], BODY[64:128], BODY[128:]))
PEM = f"-----BEGIN CERTIFICATE-----\n{LINES}\n-----END CERTIFICATE-----\n"
OTHER = PEM.replace(BODY[:4], "MIEA", 1)


def inline(text: str) -> str:
    return "caCerts:\n  certs:\n    - |\n" + "".join(
        f"      {line}\n" for line in text.splitlines()
    )


def test_a_certificate_has_one_form() -> None:
    wide = f"x\r\n-----BEGIN CERTIFICATE-----\r\n{BODY}\r\n-----END CERTIFICATE-----\r\n"
    spec = load(inline(PEM) + f"    - {wide!r}\n".replace("'", '"') + IMAGE).spec
    assert spec.guest.trust.certificates == (PEM,)
    assert not spec.guest.trust.remove_defaults


def test_files_are_read_from_the_project_and_the_home() -> None:
    files = Files({"/home/ann/p/a.crt": PEM + OTHER, "/home/ann/b.crt": PEM})
    text = "caCerts: {removeDefaults: true, files: [a.crt, ~/b.crt]}\n" + IMAGE
    found = load(text, resolver=files).spec.guest.trust
    assert len(found.certificates) == 2
    assert found.certificates[0] == PEM
    assert found.remove_defaults


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.crt", "1 caCerts.files[0]: cannot read `a.crt`: no file can be read here"),
        ("../a.crt", "1 caCerts.files[0]: cannot read `../a.crt`: relative locator path"),
        ("https://x/a.crt", "1 caCerts.files[0]: cannot read `https://x/a.crt`: expected the path"),
    ],
)
def test_a_file_that_cannot_be_read(path: str, expected: str) -> None:
    assert problem(with_image(f"caCerts: {{files: ['{path}']}}")).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "expected a PEM certificate"),
        ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----", "is no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is no certificate"),
        ("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "expected a PEM"),
    ],
)
def test_what_is_no_certificate(text: str, expected: str) -> None:
    assert expected in problem(inline(text) + IMAGE)


def test_a_file_that_is_too_large_or_too_many() -> None:
    big = Files({"/home/ann/p/a.crt": "x" * (embedding.MAX_BYTES + 1)})
    with pytest.raises(Exception, match="larger than 256 KiB"):
        load("caCerts: {files: [a.crt]}\n" + IMAGE, resolver=big)
    many = "".join(PEM.replace(BODY[:8], f"MIIA{number:04d}") for number in range(129))
    with pytest.raises(Exception, match="more than 128 certificates"):
        load("caCerts: {files: [a.crt]}\n" + IMAGE, resolver=Files({"/home/ann/p/a.crt": many}))
