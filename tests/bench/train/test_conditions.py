"""What has to be as it was for a trial to go on."""

from __future__ import annotations

from bench.train.conditions import conditions


def test_another_card_is_another_condition_and_a_cpu_has_none() -> None:
    on_the_cpu, on_a_card, on_another = (conditions(threads=1, checksums="x", card=card) for card in ("", "A", "B"))
    assert "graphics card" not in on_the_cpu, "what stood before cards were told goes on"
    assert on_a_card["graphics card"] == "A"
    assert len({tuple(each.items()) for each in (on_the_cpu, on_a_card, on_another)}) == 3
