"""Whether who claims an address has it for longer than a move takes."""

from mmm.network.strangers import FORGOTTEN, MOST, STANDS, Strangers

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


def test_who_invents_macs_neither_fills_the_memory_nor_hides_who_was_there() -> None:
    strangers = claims(0)
    for number in range(MOST * 2):
        strangers.noticed(VIP, f"02:00:00:00:01:{number:02x}", 1)
    strangers.noticed(VIP, MAC, STANDS)
    for number in range(MOST * 2):
        strangers.noticed(VIP, f"02:00:00:00:01:{number:02x}", STANDS + 1)
    found = strangers.standing({VIP}, STANDS + 1)
    assert (VIP, MAC) in found
    assert len(found) == MOST
