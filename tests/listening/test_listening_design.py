"""Who hears what in which order, and which tokens prove it."""

from __future__ import annotations

from collections import Counter

from reports.listening.design import (
    ABX,
    MAX_ITEMS,
    MOS,
    Design,
    Method,
    RatedSystem,
    choose_clips,
    file_session,
    make_items,
    page_session,
    plan,
)

SECRET = b"one"
CLIPS = ["dog_1", "rain_2", "cat_3", "bell_4"]
ANNA, BOB = page_session("anna"), page_session("bob")


def design(method: Method = MOS, *, clips: list[str] = CLIPS) -> Design:
    groups = [("s0",), ("s1",)] if method == MOS else [("s0", "s1"), ("s0", "s2"), ("s1", "s2")]
    return Design(
        id=f"{method}-1",
        method=method,
        sweep="vae",
        run_id="run",
        systems={key: RatedSystem(name=key, run_id=key) for key in ("s0", "s1", "s2")},
        clips=tuple(clips),
        items=tuple(make_items(method, SECRET, clips, groups)),
        sounds={},
    )


def order(session: str, secret: bytes = SECRET) -> list[str]:
    return [step.item.id for step in plan(design(), secret, session)]


def test_every_listener_hears_everything_in_an_order_of_their_own() -> None:
    assert order(ANNA) == order(ANNA)
    assert order(ANNA) != order(BOB) and sorted(order(ANNA)) == sorted(order(BOB))


def test_names_of_items_say_nothing_of_clip_and_system() -> None:
    ids = [item.id for item in design().items]
    assert len(set(ids)) == len(ids) == 8
    assert ids != [item.id for item in make_items(MOS, b"another", CLIPS, [("s0",), ("s1",)])]


def test_tokens_differ_between_listeners_files_tests_and_secrets() -> None:
    tokens = [
        {step.token for step in plan(each, secret, session)}
        for each, secret, session in (
            (design(), SECRET, ANNA),
            (design(), SECRET, BOB),
            (design(), SECRET, file_session("anna")),
            (design(), b"another", ANNA),
            (design().model_copy(update={"id": "mos-2"}), SECRET, ANNA),
        )
    ]
    assert len(set.union(*tokens)) == 5 * 8


def test_roles_are_balanced_within_every_pair() -> None:
    for session in (ANNA, BOB):
        steps = plan(design(ABX), SECRET, session)
        for pair in {step.item.systems for step in steps}:
            of_pair = [step for step in steps if step.item.systems == pair]
            roles = Counter((step.slots["a"], step.slots["x"]) for step in of_pair)
            assert len(roles) == 4 and max(roles.values()) - min(roles.values()) <= 1
    assert [step.right for step in plan(design(ABX), SECRET, ANNA)] != [
        step.right for step in plan(design(ABX), SECRET, BOB)
    ]


def test_x_is_what_the_right_slot_plays() -> None:
    for step in plan(design(ABX), SECRET, ANNA):
        assert step.right is not None and step.slots[step.right] == step.slots["x"]
        assert {step.slots["a"], step.slots["b"]} == set(step.item.systems)
    assert {step.right for step in plan(design(MOS), SECRET, ANNA)} == {None}


def test_pairs_of_few_clips_come_several_times() -> None:
    assert len(design(ABX).items) == 3 * 4 * 3
    assert len(design(ABX, clips=["dog_1"]).items) == 3 * 13


def test_of_many_clips_some_are_chosen_from_everywhere() -> None:
    clips = [f"{number:02d}" for number in range(50)]
    assert choose_clips(MOS, clips, 1) == clips
    assert choose_clips(ABX, clips, 10) == ["00", "06", "12", "18", "25", "31", "37", "43"]
    assert len(choose_clips(MOS, clips, 7)) * 7 <= MAX_ITEMS[MOS]
    assert choose_clips(ABX, clips, 1000) == ["00"]
