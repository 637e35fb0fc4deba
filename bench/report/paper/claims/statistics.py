"""The statistics that claims are judged by: a function each, from samples to evidence for and against.

All take their samples first, values by seed, and need two values of each; `every` and `within_part` need one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from bench.report.paper.claims.evidence import ROUNDING, Contrast, Evidence, Sample, against, constant
from impls.contract import Array


def every(sample: Sample, *, wanted: bool) -> Evidence:
    """Every seed is as wanted: 1 for yes, 0 for no. One that is not refutes it."""
    share = float(np.mean([value == wanted for value in sample.values()]))
    words = "share of seeds that solved it" if wanted else "share of seeds that did not solve it"
    return Evidence(measured=words, estimate=share, shown=float(share < 1), refuted=float(share == 1), n=len(sample))


def above(sample: Sample, reference: Sample, *, margin: float = 0.0) -> Evidence:
    """The sample's mean is above the reference's by more than the margin."""
    contrast = Contrast(sample, reference)
    return _difference(contrast, shown=contrast.above(margin), refuted=contrast.below(margin))


def below(sample: Sample, reference: Sample, *, margin: float = 0.0) -> Evidence:
    """The sample's mean is below the reference's by more than the margin."""
    contrast = Contrast(sample, reference)
    return _difference(contrast, shown=contrast.below(-margin), refuted=contrast.above(-margin))


def errors_below(sample: Sample, reference: Sample) -> Evidence:
    """The sample's geometric mean is below the reference's: t on logarithms. Values are positive."""
    contrast = Contrast(_logarithms(sample), _logarithms(reference))
    low, high = np.exp(contrast.interval())
    return Evidence(
        measured="ratio of geometric means",
        estimate=float(np.exp(contrast.mean)),
        low=float(low),
        high=float(high),
        test=f"{contrast.test} on logarithms",
        shown=contrast.below(0.0),
        refuted=contrast.above(0.0),
        n=contrast.n,
    )


def share_below(sample: Sample, reference: Sample, *, share: float) -> Evidence:
    """The sample's mean is below this share of the reference's: t on `sample − share · reference`.

    A constant that equals the share of a constant refutes it.
    """
    contrast = Contrast(sample, {seed: share * value for seed, value in reference.items()})
    shown, refuted = contrast.below(0.0), contrast.above(0.0)
    return Evidence(
        measured="ratio of means",
        estimate=float(contrast.left.mean() / (contrast.right.mean() / share)),
        test=contrast.test,
        shown=shown,
        refuted=0.0 if shown == refuted == 1.0 else refuted,
        n=contrast.n,
    )


def below_value(sample: Sample, *, value: float) -> Evidence:
    """The sample's mean is below a value. All equal to it refutes it."""
    contrast = against(sample, value)
    shown, refuted = contrast.below(0.0), contrast.above(0.0)
    return _mean(contrast, value, shown=shown, refuted=0.0 if shown == refuted == 1.0 else refuted)


def above_value(sample: Sample, *, value: float) -> Evidence:
    """The sample's mean is above a value. All equal to it refutes it."""
    contrast = against(sample, value)
    shown, refuted = contrast.above(0.0), contrast.below(0.0)
    return _mean(contrast, value, shown=shown, refuted=0.0 if shown == refuted == 1.0 else refuted)


def near(sample: Sample, *, value: float, margin: float) -> Evidence:
    """The sample's mean lies within a margin of a value: two one-sided tests."""
    contrast = against(sample, value)
    return _mean(contrast, value, **_within(contrast, -margin, margin))


def equivalent(sample: Sample, reference: Sample, *, margin: float) -> Evidence:
    """The means differ by less than the margin: two one-sided tests (Schuirmann 1987)."""
    contrast = Contrast(sample, reference)
    return _difference(contrast, **_within(contrast, -margin, margin))


def ratio_within(sample: Sample, reference: Sample, *, low: float, high: float) -> Evidence:
    """The 95 % interval of the ratio of geometric means lies between two bounds; `high` may be infinite.

    p is twice that of the one-sided test at the nearer bound, so that 0.05 is where the interval touches it.
    """
    contrast = Contrast(_logarithms(sample), _logarithms(reference))
    sides = _within(contrast, float(np.log(low)), float(np.log(high)))
    ends = np.exp(contrast.interval())
    return Evidence(
        measured="ratio of geometric means",
        estimate=float(np.exp(contrast.mean)),
        low=float(ends[0]),
        high=float(ends[1]),
        test=f"{contrast.test} on logarithms",
        shown=min(1.0, 2 * sides["shown"]),
        refuted=min(1.0, 2 * sides["refuted"]),
        n=contrast.n,
    )


def steadier(sample: Sample, reference: Sample) -> Evidence:
    """The sample's variance is below the reference's: one-sided F of the sample variances."""
    left, right = (np.array(list(values.values()), np.float64) for values in (sample, reference))
    variances = [0.0 if constant(values) else float(values.var(ddof=1)) for values in (left, right)]
    n = min(len(left), len(right))
    if variances[1] == 0:
        shown, refuted, ratio = 1.0, float(variances[0] == 0), float("inf") if variances[0] else float("nan")
    else:
        ratio = variances[0] / variances[1]
        freedom = (len(left) - 1, len(right) - 1)
        shown, refuted = float(stats.f.cdf(ratio, *freedom)), float(stats.f.sf(ratio, *freedom))
    return Evidence(measured="ratio of variances", estimate=ratio, test="F", shown=shown, refuted=refuted, n=n)


def falling(*samples: Sample) -> Evidence:
    """Each sample lies below the one before: Page's trend test over the seeds that all have, and means in order.

    Needs three samples. Page, E. B. (1963). Ordered hypotheses for multiple treatments. JASA 58.
    """
    seeds = sorted(set.intersection(*map(set, samples)))
    blocks = np.array([[sample[seed] for sample in samples] for seed in seeds], np.float64)  # [seeds, levels]
    if len(blocks) < 2:
        return Evidence(
            measured="last mean over the first", estimate=float("nan"), shown=1.0, refuted=1.0, n=len(seeds)
        )
    means = blocks.mean(axis=0)
    in_order = bool((np.diff(means) < 0).all())
    return Evidence(
        measured="last mean over the first",
        estimate=float(means[-1] / means[0]),
        test="Page's trend" if in_order else "Page's trend, the means out of order",
        shown=float(stats.page_trend_test(blocks[:, ::-1]).pvalue) if in_order else 1.0,
        refuted=float(stats.page_trend_test(blocks).pvalue),
        n=len(seeds),
    )


def within_part(sample: Sample, *, value: float, part: float) -> Evidence:
    """Every value of the sample is within this part of a value; what is computed has no spread to test."""
    ratios = np.array(list(sample.values()), np.float64) / value
    worst = float(ratios[np.argmax(np.abs(ratios - 1))])
    holds = abs(worst - 1) <= part
    return Evidence(
        measured="ratio to the published", estimate=worst, shown=float(not holds), refuted=float(holds), n=len(ratios)
    )


def saved_above(shares: Sample, *, share: float) -> Evidence:
    """Of the steps that are left out, more than this share is saved in time."""
    return replace(above_value(shares, value=share), measured="time saved over steps left out")


def no_larger(differences: Sequence[float], null: Sequence[float], *, factor: float) -> Evidence:
    """Differences are no larger than a factor times null differences, in size: Mann and Whitney's U.

    Shown where they lie below `factor` times the null's; refuted where they lie above the null's themselves.
    """
    ours, other = np.abs(np.asarray(differences, np.float64)), np.abs(np.asarray(null, np.float64))
    median = float(np.median(other))
    shown, refuted = 0.0, 1.0  # equal to the last bit
    if ours.any():
        shown = float(stats.mannwhitneyu(*_tied(ours, factor * other), alternative="less").pvalue)
        refuted = float(stats.mannwhitneyu(*_tied(ours, other), alternative="greater").pvalue)
    return Evidence(
        measured="median difference over the null pairs'",
        estimate=float(np.median(ours)) / median if median else float("inf") if ours.any() else float("nan"),
        test="Mann–Whitney U",
        shown=shown,
        refuted=refuted,
        n=min(len(ours), len(other)),
    )


def _tied(left: Array, right: Array) -> tuple[Array, Array]:
    """Two samples `[n]` and `[m]` in which values that only rounding tells apart are equal, as their ranks ask for."""
    values = np.concatenate([left, right])
    ordered = np.sort(values)
    levels = ordered[np.diff(ordered, prepend=-np.inf) > ROUNDING * np.abs(ordered).max()]
    merged = levels[np.searchsorted(levels, values, side="right") - 1]
    return merged[: len(left)], merged[len(left) :]


def _logarithms(sample: Sample) -> Mapping[int, float]:
    return {seed: float(np.log(value)) for seed, value in sample.items()}


def _within(contrast: Contrast, low: float, high: float) -> dict[str, float]:
    """Two one-sided tests: p of lying outside, and of lying inside; an infinite bound cannot be passed."""
    if np.isinf(high):
        return {"shown": contrast.above(low), "refuted": contrast.below(low)}
    return {
        "shown": max(contrast.above(low), contrast.below(high)),
        "refuted": min(contrast.below(low), contrast.above(high)),
    }


def _difference(contrast: Contrast, *, shown: float, refuted: float) -> Evidence:
    low, high = contrast.interval()
    return Evidence(
        measured="mean difference", estimate=contrast.mean, low=low, high=high, test=contrast.test, shown=shown,
        refuted=refuted, n=contrast.n,
    )  # fmt: skip


def _mean(contrast: Contrast, value: float, *, shown: float, refuted: float) -> Evidence:
    low, high = (end + value for end in contrast.interval())
    return Evidence(
        measured="mean", estimate=contrast.mean + value, low=low, high=high, test="t", shown=shown, refuted=refuted,
        n=contrast.n,
    )  # fmt: skip
