"""Invariant 8, by property: wherever a secret got to, no message of any command shows it."""

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wgconfine.config.settings import parse_settings
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.settings import Backend, Settings
from wgconfine.render.record import record_file
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import Record, read_conf
from wgconfine.system.confcheck import check_sources
from wgconfine.system.sources import read_files

PUBLIC_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
RAW = st.binary(min_size=32, max_size=32)
KEYS = RAW.map(lambda raw: base64.b64encode(raw).decode())
# How a key may have been spoilt on its way into a file.
SPOILT = st.sampled_from(
    [
        "{k}", "{k}{k}", "{k}=", "{b}", "'{k}'", '"{k}"', "{h} {t}", '"{h}" "{t}"', "{h}','{t}",
        "{h}\\{t}", "{k};", "{h}\t{t}", "x{k}", "{k}#", "{k} # mine", "{h}\r{t}", "{k}\0",
        "{h}\0{t}", "\ufeff{k}",
    ],
)  # fmt: skip
NAMES = st.sampled_from(
    [
        "PrivateKey", "privatkey", "Private-Key", "PresharedKey", "Preshared", "PublicKey", "DNS",
        "Address", "AllowedIPs", "Endpoint", "MTU", "FwMark", "ListenPort", "Table", "PostUp", "Jc",
        "#", "[Peer]", "[Interface]", "", "PersistentKeepalive",
    ],
)  # fmt: skip
SIGNS = st.sampled_from([" = ", "=", " ", ": ", "==", "=\n"])
CONF = """\
[Interface]
{at[0]}
Address = 10.66.0.2
{at[1]}
[Peer]
PublicKey = {public}
{at[2]}
"""


def spoilt(form: str, key: str) -> str:
    return form.format(k=key, b=key[:-1], h=key[:20], t=key[20:])


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that is root's, as `rooted`, for all examples of a test."""
    made = Path(tempfile.mkdtemp(prefix="wgconfine-test-", dir="/var/lib"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def put(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    path.chmod(0o600)
    return path


def parsed(text: str) -> Settings:
    return parse_settings("vpn", [(PurePosixPath("/etc/wgconfine/vpn.toml"), text)])


def said(tunnel: Settings) -> str:
    """All that `check`, `plan` and `apply` say of a tunnel, and `up` after them."""
    findings = check_sources([tunnel, tunnel])
    words = [*map(str, findings.problems), *map(repr, findings.problems), repr(findings)]
    words += map(str, findings.warnings)
    text = record_file(tunnel, Backend.KERNEL).text
    try:
        words.append(repr(read_conf(Record("vpn", json.loads(text)))))
    except Failure as failure:
        words += [str(failure), repr(failure), repr(failure.__cause__), repr(failure.__context__)]
    return "\n".join([*words, text])


def assert_hidden(key: str, words: str) -> None:
    """Neither the key nor either half of it, with or without what was put between."""
    for piece in (key[:43], key[:20], key[20:43]):
        assert piece not in words


@settings(max_examples=150)
@given(key=KEYS, form=SPOILT, line=st.tuples(NAMES, SIGNS).map("".join), at=st.integers(0, 2))
def test_a_key_anywhere_in_a_conf(place: Path, key: str, form: str, line: str, at: int) -> None:
    """Under whatever name and in whichever section."""
    lines = ["", "", ""]
    lines[at] = line + spoilt(form, key)
    path = put(place / "vpn.conf", CONF.format(at=lines, public=PUBLIC_KEY))

    assert_hidden(key, said(parsed(f'config = "{path}"')))


@settings(max_examples=100)
@given(key=KEYS, form=SPOILT, other=KEYS)
def test_a_key_file_that_is_wrong(place: Path, key: str, form: str, other: str) -> None:
    """For the private key and a preshared one; beside it stands one that is right."""
    wrong, right = put(place / "a.key", spoilt(form, key)), put(place / "b.key", other)
    for private, shared in ((wrong, right), (right, wrong), (wrong, wrong)):
        tunnel = parsed(
            f'address = ["10.0.0.2"]\ndns = []\nprivate-key-file = "{private}"\n'
            f'[[peer]]\npublic-key = "{PUBLIC_KEY}"\npreshared-key-file = "{shared}"\n'
        )
        words = said(tunnel)
        assert_hidden(key, words)
        assert_hidden(other, words)


TOML_FORMS = st.sampled_from(
    [
        '{n} = "{k}"', "{n} = '{k}'", "{n} = {k}", '{n} = ["{k}"]', '"{k}" = 1', "'{k}' = ''",
        "{k}", "['{k}']\n" * 2, '[{n}]\n"{k}" = 1', '{n} = {{"{k}" = 1}}', '[[peer]]\n{n} = "{k}"',
        '[[peer]]\n"{k}" = 5', "{n} = '''\n{k}\n'''", "'{h}'.'{t}' = 1\n" * 2, "# {k}\n=",
        '{n} = "{k}', '{n} = "{h}\\u0000{t}"',
    ],
)  # fmt: skip
TOML_NAMES = st.sampled_from(
    [
        "config", "private-key", "privatekey", "private_key", "preshared-key", "private-key-file",
        "private-key-credential", "services", "backend", "dns", "mtu", "enable", "address", "key",
        "public-key", "endpoint", "allowed-ips", "preshared-key-file", "persistent-keepalive",
    ],
)  # fmt: skip


@settings(max_examples=150)
@given(key=KEYS, form=TOML_FORMS, name=TOML_NAMES)
def test_a_key_in_the_settings(place: Path, key: str, form: str, name: str) -> None:
    """Where it never belongs: in the tunnel's own file and in a fragment."""
    text = form.format(n=name, k=key, h=key[:20], t=key[20:])
    path = put(place / "one.toml", text)
    put(place / "two.toml", 'config = "/etc/wireguard/vpn.conf"')
    (place / "two.d").mkdir(exist_ok=True)
    put(place / "two.d/10.toml", text)

    files = [PurePosixPath(os.fspath(each)) for each in (path, place / "two.toml")]
    tunnels, problems = read_files(Path("/"), files)

    assert_hidden(
        key, "\n".join([*map(str, problems), repr(problems), repr(ProblemsFound(problems))])
    )
    assert [] == [each for each in tunnels if key[:20] in repr(each)]
