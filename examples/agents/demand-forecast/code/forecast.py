"""Plain statistics: methods that say the next number of a series, and a back-test that picks one.

Every forecast in the back-test is made from what was known before that week, one week ahead. The
method is chosen on older weeks than those on which its error is measured, so that the error is that
of weeks it was not chosen for.
"""


def naive(series):
    """As last week."""
    return float(series[-1])


def average(weeks):
    """As the mean of so many weeks."""

    def said(series):
        part = series[-weeks:]
        return sum(part) / len(part)

    return said


def smoothing(alpha):
    """Simple exponential smoothing: each week counts by what is left of it."""

    def said(series):
        level = float(series[0])
        for value in series[1:]:
            level += alpha * (value - level)
        return level

    return said


def seasonal(season):
    """As in the same week a season ago."""
    return lambda series: float(series[-season])


def methods(length, season):
    """Those that a series of this length can be tested with, by name; the plainest first."""
    found = {"naive": naive}
    found |= {f"average of {weeks} weeks": average(weeks) for weeks in (4, 8, 13)}
    found |= {f"smoothing {alpha:.1f}": smoothing(alpha) for alpha in (0.1, 0.2, 0.3, 0.5)}
    if length >= season:
        found[f"seasonal, {season} weeks"] = seasonal(season)
    return found


def error(method, series, begin, end):
    """The mean absolute error of forecasts for the weeks ``begin`` to ``end`` of a series."""
    return sum(abs(method(series[:at]) - series[at]) for at in range(begin, end)) / (end - begin)


def backtest(series, chosen, tested, season):
    """Which method, its forecast for the next week, and its error beside the naive one's."""
    split, length = len(series) - tested, len(series)
    begin = split - chosen
    known = methods(begin, season)
    errors = {name: error(method, series, begin, split) for name, method in known.items()}
    best = min(errors, key=lambda name: errors[name])  # of equals the plainest
    own = error(known[best], series, split, length)
    plain = error(naive, series, split, length)
    return {
        "method": best,
        "forecast": round(max(known[best](series), 0.0), 2),
        "error": round(own, 3),
        "naive_error": round(plain, 3),
        "better": own < plain,
        "tried": {name: round(value, 3) for name, value in errors.items()},
    }
