"""Whether who claims an address has it for longer than a move takes."""

from mmm.network.strangers import FORGOTTEN, STANDS, Strangers

VIP, OTHER, MAC, ANOTHER = "10.0.0.90", "10.0.0.91", "02:00:00:00:00:99", "02:00:00:00:00:98"


def claims(*moments: float, mac: str = MAC) -> Strangers:
    strangers = Strangers()
    for moment in moments:
        strangers.noticed(VIP, mac, moment)
    return strangers


def test_who_claims_it_again_after_a_while_has_it() -> None:
    assert claims(0, STANDS).standing({VIP}, STANDS) == ((VIP, MAC),)


def test_who_is_only_about_to_let_it_go_has_not() -> None:
    assert claims(0, 0.2, STANDS - 1).standing({VIP}, STANDS) == ()


def test_two_macs_are_two_strangers() -> None:
    strangers = claims(0)
    strangers.noticed(VIP, ANOTHER, STANDS)
    assert strangers.standing({VIP}, STANDS) == ()


def test_who_is_not_heard_any_more_is_gone() -> None:
    strangers = claims(0, STANDS)
    assert strangers.standing({VIP}, STANDS + FORGOTTEN) == ()
    strangers.noticed(VIP, MAC, STANDS + FORGOTTEN)  # begins anew
    assert strangers.standing({VIP}, STANDS + FORGOTTEN) == ()


def test_nobody_is_a_stranger_to_what_is_not_held_here() -> None:
    assert claims(0, STANDS).standing({OTHER}, STANDS) == ()
