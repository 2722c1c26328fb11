"""Whose packages a distribution has, by os-release(5)."""

import pytest

from wgconfine.doctor.distribution import Distribution, Family, parse_os_release

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nNAME="Debian GNU/Linux"\nID=debian\n'
MINT = "NAME='Linux Mint'\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"
ROCKY = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n'


@pytest.mark.parametrize(
    ("text", "name", "command"),
    [
        (DEBIAN, "Debian GNU/Linux 13 (trixie)", "apt install iproute2 nftables"),
        (MINT, "Linux Mint", "apt install iproute2 nftables"),
        (ROCKY, "Rocky Linux", "dnf install iproute nftables"),
        ("ID=arch\n", "arch", "pacman -S iproute2 nftables"),
        ("ID=manjaro\nID_LIKE=arch\n", "manjaro", "pacman -S iproute2 nftables"),
        ("ID=nixos\nNAME=NixOS\n", "NixOS", ""),
        ("", "", ""),
        ("nonsense\nID\n='\nNAME='a\n", "a", ""),
    ],
)
def test_the_command_that_installs_programs(text: str, name: str, command: str) -> None:
    """Of Debian, Fedora, Arch and what is like them; none where it is not known."""
    found = parse_os_release(text)
    assert (name, command) == (found.name, found.install("nft", "ip"))


def test_one_package_for_two_programs() -> None:
    """It is named once."""
    assert "dnf install util-linux" == Distribution(family=Family.FEDORA).install("mount", "umount")


def test_a_program_without_a_package() -> None:
    """No command is better than a wrong one."""
    assert "" == Distribution(family=Family.FEDORA).install("wireguard-go")
