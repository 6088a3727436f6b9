"""A real OpenGPU source: VADER behind `ogpu.service`, as a provider's container runs it.

Two handlers, `score` and `summarise`. The service listens on port 5555, as all of them do; the
tests run several side by side, so OGFLOW_SERVICE_PORT moves it. CALLBACK_URL is read by
`ogpu.service` itself: results go to CALLBACK_URL/<task address>.
"""

import os

import ogpu.service.server as server
from ogpu.service import expose, start
from pydantic import BaseModel

import vader


class Text(BaseModel):
    text: str


class Scores(BaseModel):
    compound: float
    pos: float
    neu: float
    neg: float


class Compounds(BaseModel):
    compounds: list[float]


class Summary(BaseModel):
    count: int
    positive: int
    negative: int
    neutral: int
    mean: float


@expose()
def score(data: Text) -> Scores:
    return Scores(**vader.score(data.text))


@expose(timeout=60)
def summarise(data: Compounds) -> Summary:
    return Summary(**vader.summarise(data.compounds))


@expose()
def broken(data: Text) -> Scores:
    """Raises: the service logs it and calls nobody back."""
    raise RuntimeError(f"no model for {len(data.text)} characters")


if __name__ == "__main__":
    server.SERVICE_HOST = "127.0.0.1"
    server.SERVICE_PORT = int(os.environ.get("OGFLOW_SERVICE_PORT", "5555"))
    start()
