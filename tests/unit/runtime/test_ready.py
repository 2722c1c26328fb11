"""What is asked of wg(8) to have a peer send a handshake."""

from wgconfine.runtime.ready import without_keepalive, words_for


def test_peers_without_a_keepalive() -> None:
    """WireGuard itself asks the others again and again."""
    assert ["K1"] == without_keepalive("K1\toff\nK2\t25\n")
    assert [] == without_keepalive("")


def test_a_keepalive_is_turned_on_and_off_in_one_call() -> None:
    """In this order, for each peer."""
    on, off = ("persistent-keepalive", "1"), ("persistent-keepalive", "0")
    expected = ["peer", "K1", *on, "peer", "K1", *off, "peer", "K2", *on, "peer", "K2", *off]
    assert expected == words_for(["K1", "K2"])
