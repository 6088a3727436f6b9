"""The compute of the interop tests: VADER, a rule-based sentiment model."""

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

# VADER's own rule: a compound score within this distance of zero says nothing.
NEUTRAL = 0.05

_analyzer = SentimentIntensityAnalyzer()


def score(text: str) -> dict:
    """The four figures that VADER gives for one text; `compound` is from -1 to 1."""
    figures = _analyzer.polarity_scores(text)
    return {name: float(figures[name]) for name in ("compound", "pos", "neu", "neg")}


def summarise(compounds: list[float]) -> dict:
    """How many scores are positive, negative and neutral, and their mean."""
    positive = sum(1 for value in compounds if value >= NEUTRAL)
    negative = sum(1 for value in compounds if value <= -NEUTRAL)
    mean = sum(compounds) / len(compounds) if compounds else 0.0
    return {
        "count": len(compounds),
        "positive": positive,
        "negative": negative,
        "neutral": len(compounds) - positive - negative,
        "mean": round(mean, 6),
    }
